import Cgroup
import CLinux
import LinuxSystem

/// Ends every process of a tree, by walking it: each process whose parents lead to one of `roots`. As the subreaper's own
/// descendants cannot leave it, walking until nobody is found finds all. Who is not the tree's subreaper has the list of
/// its control group, where there is one: orphans are in it still.
package struct Tree {
  private let roots: Set<Int32>
  private let own: Int32
  private let group: Int32?

  /// `group`: a descriptor of the group's `cgroup.procs`.
  package init(roots: Set<Int32>, own: Int32, group: Int32? = nil) {
    self.roots = roots
    self.own = own
    self.group = group
  }

  /// Live members now (zombies are not), and whether these are all: where /proc cannot be read (EMFILE, ENOMEM), nobody
  /// found does not mean that nobody is there. `own` is never one.
  package func members() -> (found: [Int32], areAll: Bool) {
    var parents: [Int32: Int32] = [:]
    var dead: Set<Int32> = []
    let all = Self.allProcesses()
    var areAll = all != nil
    for pid in all ?? [] {
      switch parentAndState(pid) {
      case .success((let parent, let state)):
        parents[pid] = parent
        if state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") { dead.insert(pid) }
      case .failure(let error):
        if error.errno != ENOENT, error.errno != ESRCH { areAll = false }
      }
    }
    var found = parents.keys.filter { pid in
      guard pid != own, !dead.contains(pid) else { return false }
      var current = pid
      for _ in 0..<4096 {
        if roots.contains(current) { return true }
        guard let parent = parents[current], parent > 1 || roots.contains(parent) else { return false }
        current = parent
      }
      return false
    }
    guard let group else { return (found, areAll) }
    guard let members = cgroupMembers(group) else { return (found, false) }
    found += Set(members).subtracting(found).subtracting([own])
    return (found, areAll)
  }

  /// Sends `signal` to every member that can be found. Whether nobody is left.
  @discardableResult
  package func signal(_ signal: Int32) -> Bool {
    let (found, areAll) = members()
    for pid in found { sendSignal(toPid: pid, signal) }
    return found.isEmpty && areAll
  }

  /// The number of every process that /proc shows; nil where it cannot be read.
  package static func allProcesses() -> [Int32]? {
    let opened = openAt(AT_FDCWD, PathText("/proc"), flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    let directory = FileDescriptor(owning: Int32(opened))
    var found: [Int32] = []
    var buffer = PathText()
    while true {
      let count = buffer.fill(capacity: PathText.limit) {
        rawCall(Int(SYS_getdents64), Int(directory.number), $0, PathText.limit)
      }
      guard count > 0 else { return count == 0 ? found : nil }
      var offset = 0
      while offset + 19 < count {
        let length = Int(buffer[offset + 16]) | Int(buffer[offset + 17]) << 8
        guard length > 19 else { return found }
        var value: Int32? = 0
        var index = offset + 19
        while index < offset + length, buffer[index] != 0 {
          guard let digits = value, buffer[index] >= 0x30, buffer[index] <= 0x39, digits < 100_000_000 else {
            value = nil
            break
          }
          value = digits * 10 + Int32(buffer[index] - 0x30)
          index += 1
        }
        if let value, value > 0 { found.append(value) }
        offset += length
      }
    }
  }

  /// `proc_pid_stat(5)`, fields 3 and 4.
  private func parentAndState(_ pid: Int32) -> Result<(Int32, UInt8), SystemCallError> {
    do throws(SystemCallError) {
      let stat = try ProcessStat(reading: pid)
      guard let state = stat.state, let parent = stat.number(4).flatMap({ Int32(exactly: $0) }) else {
        throw SystemCallError("read", EINVAL)
      }
      return .success((parent, state))
    } catch { return .failure(error) }
  }
}
