import CLinux
import LinuxSystem
import Seccomp
import Synchronization

/// The thread that receives calls, and those who take its place when it gets stuck.
///
/// The receiver hands over what is known to wait. What nobody can know gets it stuck all the same, where a file
/// system's server does not answer: one that was mounted this moment, a path in memory that is mapped from its file, the
/// closing of a duplicate.
/// A call of its that lasts `patience` is left to it, and another thread receives; it ends when it gets through.
final class Receivers: Sendable {
  /// Nanoseconds that one call may keep the others waiting.
  static let patience: UInt64 = 100_000_000
  /// So many may be stuck; then the calls of this session wait.
  static let limit = 64

  /// One thread's turn.
  private final class Turn: Sendable {
    /// Odd while a call is being handled.
    let step = Atomic<UInt64>(0)
    let isOver = Atomic(false)
  }
  private struct State {
    var turn = Turn()
    var seen: UInt64 = 0
    var since: UInt64 = 0
  }

  private let listener: Int32
  private let mediator: Mediator
  private let headStart: HeadStart
  private let threads = Atomic(0)
  private let state = Mutex(State())

  init(listener: Int32, mediator: Mediator, _ headStart: HeadStart) {
    self.listener = listener
    self.mediator = mediator
    self.headStart = headStart
  }

  /// Starts the first. Throws EAGAIN.
  func start() throws(SystemCallError) { try start(state.withLock { $0.turn }) }

  /// Whether a call is being handled, whose record may still come.
  var isBusy: Bool {
    threads.load(ordering: .relaxed) > 1
      || state.withLock { $0.turn.step.load(ordering: .acquiring) % 2 == 1 }
  }

  /// To be called a few times a second: replaces a receiver that is stuck. One that waits for room in the record is not;
  /// there everybody is to wait.
  func watch() {
    let now = monotonicClock()
    state.withLock { state in
      let step = state.turn.step.load(ordering: .relaxed)
      guard step == state.seen, step % 2 == 1 else {
        state.seen = step
        state.since = now
        return
      }
      guard now - state.since >= Self.patience, threads.load(ordering: .relaxed) < Self.limit,
        !mediator.recorder.isWaiting
      else { return }
      let next = Turn()
      // Where no thread is to be had the stuck one keeps its turn, and the next look tries again.
      guard (try? start(next)) != nil else { return }
      state.turn.isOver.store(true, ordering: .relaxed)
      state = State(turn: next, since: now)
    }
  }

  private func start(_ turn: Turn) throws(SystemCallError) {
    try NamedThread.start("receiver") { [self] in
      threads.add(1, ordering: .relaxed)
      defer { threads.subtract(1, ordering: .relaxed) }
      rawCall(Int(SYS_unshare), Int(CLONE_FS))
      let source = Listener(owning: FileDescriptor(owning: listener))
      var scratch = headStart.takeScratch() ?? Scratch(policy: mediator.policy, mayBlock: false)
      setFileCreationMask(scratch.mask)
      receive(source, turn, &scratch)
      headStart.keep(scratch)
    }
  }

  /// Waits for nobody but the kernel. The descriptor stays open after the end: the main thread asks it whether anybody is
  /// left, and helpers answer by its number, which must not become another file's.
  private func receive(_ listener: consuming Listener, _ turn: Turn, _ scratch: inout Scratch) {
    while !turn.isOver.load(ordering: .relaxed) {
      switch listener.receive() {
      case .notification(let notification):
        turn.step.add(1, ordering: .relaxed)
        mediator.handle(notification, &scratch)
        turn.step.add(1, ordering: .releasing)
      case .nothing: continue
      case .closed: return listener.leaveOpen()
      }
    }
    listener.leaveOpen()
  }
}
