import AgentshPolicy
import CLinux
import LinuxSystem
import Synchronization

/// The mounts that the tree sees: at the start, and whenever they change. The tree itself cannot mount here.
final class Mounts: Sendable {
  let remote = RemoteMounts()
  /// An open mountinfo: it polls POLLPRI once they have changed. `proc_pid_mounts(5)`
  let changes: FileDescriptor
  private let newest = Mutex<MountTable?>(nil)
  /// The devices of all that has been seen.
  private let devices = Mutex<Set<UInt64>>([])
  /// Counts the changes of `newest`.
  private let generation = Atomic<UInt64>(0)

  init() throws(SystemCallError) {
    // Before they are read: what changes from here on is told.
    let opened = openAt(AT_FDCWD, PathText("/proc/self/mountinfo"), flags: O_RDONLY | O_CLOEXEC)
    changes = FileDescriptor(owning: Int32(try check("open", opened)))
    take(try Mount.all())
  }

  /// After a change. False when they cannot be read: then they are as they were, and it is to be tried again.
  func refresh() -> Bool {
    guard let mounts = try? Mount.all() else { return false }
    take(mounts)
    return true
  }

  private func take(_ mounts: [Mount]) {
    remote.take(mounts)
    devices.withLock { $0.formUnion(mounts.map(\.device)) }
    let table = MountTable(
      mounts.map {
        MountPoint(
          id: $0.id, parent: $0.parent, device: $0.device, root: $0.root, point: $0.point,
          isClosed: $0.showsProcessesElsewhere)
      })
    newest.withLock { newest in
      guard newest != table else { return }
      newest = table
      generation.add(1, ordering: .releasing)
    }
  }

  /// nil where they say nothing of paths.
  var table: MountTable? { newest.withLock { $0 } }

  func haveHad(_ device: UInt64) -> Bool { devices.withLock { $0.contains(device) } }

  /// At the begin of a call: what its thread knows is the newest then.
  func tell(_ scratch: inout Scratch) {
    let generation = generation.load(ordering: .acquiring)
    if generation == scratch.mountsKnown { return }
    scratch.mountsKnown = generation
    scratch.decider.know(table)
  }
}
