import Cgroup
import LinuxSystem
import Synchronization

/// The first move of a process to another group in a while waits for the kernel, some 8 ms on two CPUs (a grace period of
/// RCU, before all forks are held off); a move soon after it takes 0.2. So the first is made when somebody asks for a
/// launch, and is over when there is a process to be moved: our own, to where it is.
///
/// Needed for those alone who may not be born in their group: other users than the daemon's.
final class FirstMove: Sendable {
  /// Each holds off the forks of the whole machine for a moment: who asks more often than starts can follow one another
  /// gets no more.
  private static let perSecond: UInt64 = 64
  private let isMoving = Atomic<Bool>(false)
  private let latest = Atomic<UInt64>(0)

  /// Returns at once. One at a time and `perSecond` at most, whoever asks how often. What fails here fails at the real move
  /// too, and is told there.
  func begin() {
    let now = monotonicClock()
    guard now - latest.load(ordering: .relaxed) > 1_000_000_000 / Self.perSecond else { return }
    guard !isMoving.exchange(true, ordering: .acquiring) else { return }
    latest.store(now, ordering: .relaxed)
    do throws(SystemCallError) {
      try NamedThread.start("move") {
        if let own = CgroupPlace.own() { try? CgroupTree.move(currentProcess(), to: own) }
        self.isMoving.store(false, ordering: .releasing)
      }
    } catch { isMoving.store(false, ordering: .releasing) }
  }
}
