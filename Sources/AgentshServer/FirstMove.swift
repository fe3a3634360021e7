import Cgroup
import LinuxSystem
import Synchronization

/// The first move of a process to another group in a while waits for the kernel, some 8 ms on two CPUs (a grace period of
/// RCU, before all forks are held off); a move soon after it takes 0.2. So the first is made when somebody asks for a
/// launch, and is over when there is a process to be moved: our own, to where it is.
final class FirstMove: Sendable {
  private let isMoving = Atomic<Bool>(false)

  /// Returns at once. One at a time, whoever asks how often. What fails here fails at the real move too, and is told there.
  func begin() {
    guard !isMoving.exchange(true, ordering: .acquiring) else { return }
    do throws(SystemCallError) {
      try NamedThread.start("move") {
        if let own = CgroupPlace.own() { try? CgroupTree.move(currentProcess(), to: own) }
        self.isMoving.store(false, ordering: .releasing)
      }
    } catch { isMoving.store(false, ordering: .releasing) }
  }
}
