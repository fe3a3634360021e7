import CLinux
import LinuxSystem

/// What /proc says of a process. `proc(5)`
struct ProcessFacts: Sendable, Equatable {
  let pid: Int32
  let parent: Int32
  /// Clock ticks since boot.
  let start: UInt64
  /// Real, effective, saved, and of files.
  let users: [UInt32]
  /// As `users`.
  let groups: [UInt32]
  let supplementaryGroups: [UInt32]
  let noNewPrivileges: Bool
  let filters: Int

  /// nil when there is no such process, or /proc says less than it should.
  init?(pid: Int32) {
    guard let (parent, start) = Self.stat(pid),
      case .success(let bytes) = readAll("/proc/\(pid)/status", limit: 1 << 16)
    else { return nil }
    let lines = bytes.split(separator: UInt8(ascii: "\n"))
    func numbers(_ name: StaticString) -> [UInt32] {
      let name = Array("\(name):".utf8)
      guard let line = lines.first(where: { $0.starts(with: name) }) else { return [] }
      return line.dropFirst(name.count).split { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") }
        .compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
    }
    users = numbers("Uid")
    groups = numbers("Gid")
    supplementaryGroups = numbers("Groups")
    guard users.count == 4, groups.count == 4 else { return nil }
    self.pid = pid
    self.parent = parent
    self.start = start
    noNewPrivileges = numbers("NoNewPrivs") == [1]
    // Since Linux 5.9; without it nothing is claimed.
    filters = numbers("Seccomp_filters").first.map(Int.init) ?? 0
  }

  /// Parent and start time. `proc_pid_stat(5)`
  static func stat(_ pid: Int32) -> (parent: Int32, start: UInt64)? {
    guard let stat = try? ProcessStat(reading: pid), let parent = stat.number(4), let start = stat.number(22)
    else { return nil }
    return (Int32(truncatingIfNeeded: parent), UInt64(bitPattern: start))
  }

  /// Of every process there is: pid and parent.
  static func parents() -> [(pid: Int32, parent: Int32)] {
    directoryNames("/proc").compactMap { name in
      guard let pid = Int32(name), let (parent, _) = stat(pid) else { return nil }
      return (pid, parent)
    }
  }

  /// The pids at and above `pid`, itself first, as far as they can be seen.
  static func ancestry(of pid: Int32) -> [Int32] {
    var chain: [Int32] = []
    var current = pid
    while current > 0, chain.count < 4096, !chain.contains(current) {
      chain.append(current)
      guard let (parent, _) = stat(current) else { break }
      current = parent
    }
    return chain
  }

  /// A random text that changes with each boot; empty when it cannot be read.
  static let bootID: String = {
    guard case .success(let bytes) = readAll("/proc/sys/kernel/random/boot_id", limit: 128) else { return "" }
    return String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)
  }()
}

/// Kills a process and everything below it that can be found; blocks shortly. The descriptor proves that the pid is
/// still the process we mean.
func killTree(_ pid: Int32, pidfd: Int32) {
  // Stopped first, so that nobody makes children while we look, nor loses its parent, by which it is found.
  var family: Set<Int32> = [pid]
  sendSignal(pidfd, SIGSTOP)
  for _ in 0..<20 {
    var found = family
    let all = ProcessFacts.parents()
    var grew = true
    while grew {
      let more = all.filter { found.contains($0.parent) && !found.contains($0.pid) }
      grew = !more.isEmpty
      found.formUnion(more.map(\.pid))
    }
    let new = found.subtracting(family)
    if new.isEmpty { break }
    for member in new { sendSignal(toPid: member, SIGSTOP) }
    family = found
  }
  for member in family where member != pid { sendSignal(toPid: member, SIGKILL) }
  sendSignal(pidfd, SIGKILL)
}
