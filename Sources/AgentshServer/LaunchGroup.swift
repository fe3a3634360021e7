import AgentshSession
import Cgroup
import CLinux
import LinuxSystem

/// The control group of one launch: the launched process and all that it ever starts, also what nobody is the parent of
/// any more. It lies below the group that the launch came from, so that limits which are set there hold on.
final class LaunchGroup: Sendable {
  /// As `/proc/PID/cgroup` names it.
  let name: String
  private let tree: CgroupTree

  init(_ tree: consuming CgroupTree, name: String) {
    self.tree = tree
    self.name = name
  }

  /// One that an earlier daemon made; nil when it is gone, as after a boot. Throws where it is there and cannot be used.
  static func reopen(_ name: String) throws(CgroupAbsent) -> LaunchGroup? {
    guard let directory = CgroupPlace.directory(of: name) else { throw .notMounted }
    do throws(CgroupAbsent) { return LaunchGroup(try CgroupTree.open(at: directory), name: name) } catch {
      if case .notThere(let reason) = error, reason.errno == ENOENT { return nil }
      throw error
    }
  }

  /// Whether a process of that group, as `/proc/PID/cgroup` has it, is in this one.
  func contains(_ group: String) -> Bool { group == name || group.hasPrefix(name + "/") }

  /// Its directory, as we see it.
  var path: String { tree.path }

  func add(_ pid: Int32) throws(SystemCallError) { try tree.add(pid: pid) }

  /// The list of those that live in it, for a supervisor that is another user's.
  func openMembers() throws(SystemCallError) -> SharedDescriptor { SharedDescriptor(try tree.openMembers()) }

  /// Those that live in it now.
  var members: [Int32] { (try? openMembers()).flatMap { cgroupMembers($0.number) } ?? [] }

  /// Nobody of it makes another step. Does not wait. A group that is gone has nobody.
  func kill() throws(SystemCallError) {
    do throws(SystemCallError) { try tree.kill() } catch {
      if error.errno != ENOENT, error.errno != ENODEV { throw error }
    }
  }

  /// Takes the group away, and before that whoever is in it still; blocks until they have ended, two seconds at most.
  /// Returns how many they were.
  func clear() throws(SystemCallError) -> Int {
    do throws(SystemCallError) {
      try remove()
      return 0
    } catch { guard error.errno == EBUSY else { throw error } }
    let left = members.count
    try tree.kill()
    _ = try tree.waitUntilEmpty(milliseconds: 2000)
    try remove()
    return left
  }

  /// Who has the group above may have taken ours away when it was empty.
  func remove() throws(SystemCallError) {
    do throws(SystemCallError) { try tree.remove() } catch { if error.errno != ENOENT { throw error } }
  }
}
