import AgentshPolicy
import CLinux
package import LinuxSystem
import Synchronization

// Names of what lies in a mount namespace of the tree's own. Rules know the names that our mount namespace has, and a mount
// inside gives nothing another: what is found there lies in some directory of some file system, and where ours has that
// directory mounted it has its name. Nothing is remembered: a descriptor holds its mount, so while it is looked at, its
// number in a list of mounts can be no other's.

extension Mediator {
  /// Before the names of what lies on a file system that our mount namespace does not have: the tree's own memory.
  static let privateNames = "/@private"

  /// Whether a caller is in a mount namespace of the tree's own. It may have a hundred thousand mounts, and they are read
  /// for each name: by a helper.
  func namesAreElsewhere(for thread: Int32) -> Bool {
    mountsVary.load(ordering: .sequentiallyConsistent) && !Frame.sharesNamespace("mnt", with: thread)
  }

  /// The name that the kernel has for one of our descriptors, in our mount namespace. `thread` is who it was found for.
  /// Returns 0 or an errno: EACCES for what has no name.
  package func nameOfDescriptor(_ descriptor: Int32, of thread: Int32, into name: inout PathText) -> Int32 {
    let length = ProcPath(ownDescriptor: descriptor).readLink(into: &name)
    if length < 0 { return Int32(truncatingIfNeeded: -length) }
    // What is no path (`pipe:[1]`) has no mount.
    guard mountsVary.load(ordering: .sequentiallyConsistent), name.starts(with: "/") else { return 0 }
    guard let found = nameHere(Array(name.bytes), descriptor, thread), found.count < PathText.limit else {
      return EACCES
    }
    name.removeAll()
    name.append(found)
    return 0
  }

  private func nameHere(_ named: [UInt8], _ descriptor: Int32, _ thread: Int32) -> [UInt8]? {
    var information = stat()
    guard let number = mountNumber(of: descriptor), statDescriptor(descriptor, &information) == 0,
      let ours = try? Mount.text()
    else { return nil }
    // From our root on, as the kernel names it.
    if Mount.one(number, in: ours) != nil { return named }
    // memfd and System V's memory: on no mount of anybody's.
    if UInt64(information.st_dev) == frame.memoryDevice { return named }
    guard let (mount, process) = mount(number, for: thread) else { return nil }
    // Mount points are told from the process's root on, and the name from the root of its namespace.
    var root = PathText()
    guard ProcPath(process, "root").readLink(into: &root) > 0 else { return nil }
    let point = Self.directory(Array(root.bytes)) + Self.directory(mount.point)
    let below = named.count == 1 ? [] : named
    guard isBelow(below.span, point.span) else { return nil }
    let inside = Self.directory(mount.root) + below[point.count...]
    let same = Mount.all(on: mount.device, in: ours)
    let names = same.compactMap { our -> PathText? in
      let top = Self.directory(our.root)
      guard isBelow(inside.span, top.span) else { return nil }
      let name = Self.directory(our.point) + inside[top.count...]
      return name.isEmpty ? PathText("/") : PathText(name)
    }
    // It has to be there: something else may be mounted over it. What is gone is nowhere.
    let there = names.first { isCalled($0, information) }
    if let name = there ?? (endsInDeleted(PathText(named)) ? names.first : nil) {
      return mayEnter(thread, name) ? Array(name.bytes) : nil
    }
    // What ours had once, and does not have any more, is not the tree's.
    return same.isEmpty && !frame.mounts.haveHad(mount.device)
      ? Array(Self.privateNames.utf8) + below : nil
  }

  /// A file of a process in /proc that is mounted somewhere is met there, and not on the way through /proc: whether it may
  /// be entered is asked here.
  private func mayEnter(_ thread: Int32, _ name: PathText) -> Bool {
    guard touchesProcess(name) else { return true }
    let parts = name.bytes.split(separator: UInt8(ascii: "/"))
    guard parts.count > 2 else { return true }
    var process = PathText("/proc/")
    process.append(parts[1])
    return mayEnter(thread, process, parts[2])
  }

  static let generations = 32

  /// A mount of the thread's namespace; or, where the thread has kept a descriptor when it left another, of its parents'.
  private func mount(_ number: UInt64, for thread: Int32) -> (Mount, process: Int32)? {
    var process = thread
    for _ in 0..<Self.generations {
      if let text = try? Mount.text(of: "\(process)"), let found = Mount.one(number, in: text) {
        return (found, process)
      }
      guard let parent = processes.refresh(process)?.parent, parent > 1, parent != frame.ownPid else {
        return nil
      }
      process = parent
    }
    return nil
  }

  /// Without the slash that only the root has.
  private static func directory(_ path: [UInt8]) -> [UInt8] { path.count == 1 ? [] : path }
}

/// Whether two directories are one, on one mount.
func isSamePlace(_ one: Int32, _ other: Int32) -> Bool {
  var (first, second) = (stat(), stat())
  guard let number = mountNumber(of: one), number == mountNumber(of: other) else { return false }
  return statDescriptor(one, &first) == 0 && statDescriptor(other, &second) == 0
    && first.st_dev == second.st_dev && first.st_ino == second.st_ino
}
