import CLinux
import Foundation

/// What the tests know of control groups: which machine has them, and who is in which.
package enum ControlGroups {
  /// Where version 2 is mounted; nil on a machine without.
  package static let root: String? = {
    let text = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
    let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
    return lines.first { $0.count > 4 && $0.dropFirst(6).contains("cgroup2") }.map { String($0[4]) }
  }()

  /// Whether a daemon of root's can make groups here: tried once.
  package static let canBeMade: Bool = {
    guard let own = directory(of: getpid()) else { return false }
    let made = own + "/tests-\(getpid())"
    guard mkdir(made, 0o755) == 0 else { return false }
    defer { rmdir(made) }
    return access(made + "/cgroup.kill", W_OK) == 0
  }()

  /// What a shell as root runs to have no control groups in its mount namespace, as on a machine that has none.
  package static let hiding =
    "for at in $(awk '/ - cgroup2 / { print $5 }' /proc/self/mountinfo | sort -r); do umount -l $at; done"

  /// The directory of a process's group.
  package static func directory(of pid: Int32) -> String? {
    guard let root, let text = try? String(contentsOfFile: "/proc/\(pid)/cgroup", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
    else { return nil }
    return line == "0::/" ? root : root + line.dropFirst(3)
  }

  /// Groups of launches that are there now, wherever they lie.
  package static var ofLaunches: Set<String> {
    guard let root, let all = FileManager.default.enumerator(atPath: root) else { return [] }
    return Set(all.compactMap { ($0 as? String).flatMap { isOurs($0) ? root + "/" + $0 : nil } })
  }

  /// Takes away those that are empty and were not there before: a test that kills its daemon leaves them.
  package static func clear(except before: Set<String>) {
    for path in ofLaunches.subtracting(before) { rmdir(path) }
  }

  /// agentsh-, and 16 digits.
  private static func isOurs(_ path: String) -> Bool {
    let name = (path as NSString).lastPathComponent
    return name.hasPrefix("agentsh-") && name.count == 24
  }

  /// Moves a process; throws the errno.
  package static func move(_ pid: Int32, to directory: String) throws {
    let file = open(directory + "/cgroup.procs", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { throw HarnessError("\(directory): errno \(errno)") }
    defer { close(file) }
    let text = Array(String(pid).utf8)
    guard Glibc.write(file, text, text.count) == text.count else {
      throw HarnessError("\(directory): \(pid): errno \(errno)")
    }
  }
}

/// Every process that runs this program file.
package func processes(running path: String) -> [Int32] {
  let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
  return entries.compactMap { Int32($0) }.filter {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/exe")) == path
  }
}
