import AgentshPolicy
import LinuxSystem
import Synchronization

/// The mounts that the tree sees: at the start, and whenever they change. The tree itself cannot mount.
final class Mounts: Sendable {
  let remote = RemoteMounts()
  private let newest = Mutex<MountTable?>(nil)
  /// Counts the changes of `newest`.
  private let generation = Atomic<UInt64>(0)

  init() throws(SystemCallError) { take(try Mount.all()) }

  /// After a change. False when they cannot be read: then they are as they were, and it is to be tried again.
  func refresh() -> Bool {
    guard let mounts = try? Mount.all() else { return false }
    take(mounts)
    return true
  }

  private func take(_ mounts: [Mount]) {
    remote.take(mounts)
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

  /// At the begin of a call: what its thread knows is the newest then.
  func tell(_ scratch: inout Scratch) {
    let generation = generation.load(ordering: .acquiring)
    if generation == scratch.mountsKnown { return }
    scratch.mountsKnown = generation
    scratch.mounts = table
    scratch.decider.know(scratch.mounts)
  }
}
