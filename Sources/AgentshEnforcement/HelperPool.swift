import CLinux
import LinuxSystem
package import Seccomp
import Synchronization

/// Threads for calls that may wait: opens of FIFOs and devices, connects, remote file systems. Bounded; a call that
/// finds no room is denied by the end of its notification.
///
/// While a helper waits in the kernel for somebody else, its slot says for whom. The watch (`wakeAbandoned`, called a
/// few times a second) interrupts it when the caller is gone or has a signal to handle.
package final class HelperPool: Sendable {
  package static let threadLimit = 1024
  package static let queueLimit = 4096
  /// Nanoseconds in which no helper took anything from the queue until those in it are refused: all are stuck.
  package static let patience: UInt64 = 1_000_000_000
  /// What blocked helpers are interrupted with; its handler does nothing.
  package static let wakeSignal: Int32 = SIGURG

  private struct State {
    var queue: [Waiting] = []
    /// When the queue last had somebody taken from it, or put into it while it was empty.
    var moved: UInt64 = 0
    var idle = 0
    var threads = 0
    var waits: [Int: Wait] = [:]
    var nextWait = 0
    /// What calls kept that were refused: a helper closes it, for closing may wait.
    var left: [Int32] = []
  }
  private struct Waiting {
    let parked: ParkedNotification
    let reply: ApprovalReply?
  }
  private struct Wait {
    let helper: Int32
    let caller: Int32
    let id: UInt64
  }
  private let state = Mutex(State())
  /// Futex word: bumped for each submitted call.
  private let signal: FutexWord
  private let listener: Int32
  private let work: Mutex<(@Sendable () -> Void)?> = Mutex(nil)

  package init(listener: Int32) {
    self.listener = listener
    signal = FutexWord()
  }

  /// What a helper thread runs: a loop over `next()`. Set once, before the first call is submitted.
  package func setBody(_ body: @escaping @Sendable () -> Void) { work.withLock { $0 = body } }

  /// Queues a call; one that was held, with what was answered.
  package func submit(_ notification: consuming PendingNotification, _ reply: ApprovalReply? = nil) {
    let parked = notification.park()
    let outcome: (accepted: Bool, start: Bool) = state.withLock { state in
      guard state.queue.count < Self.queueLimit else { return (false, false) }
      if state.queue.isEmpty { state.moved = monotonicClock() }
      state.queue.append(Waiting(parked: parked, reply: reply))
      let start = state.idle < state.queue.count && state.threads < Self.threadLimit
      if start { state.threads += 1 }
      return (true, start)
    }
    guard outcome.accepted else {
      refuse(parked)
      return
    }
    if outcome.start, !startThread() { state.withLock { $0.threads -= 1 } }
    signal.wakeOne()
  }

  private func refuse(_ parked: ParkedNotification) {
    var notification = PendingNotification.resume(parked)
    while let kept = notification.giveUp(where: { _ in true }) {
      let number = kept.release()
      state.withLock { $0.left.append(number) }
    }
    notification.fail(EAGAIN)
  }

  private func startThread() -> Bool {
    guard let body = work.withLock({ $0 }) else { return false }
    do throws(SystemCallError) {
      try NamedThread.start("helper") {
        unblockSignal(HelperPool.wakeSignal)
        body()
      }
      return true
    } catch {
      return false  // the queue keeps the call for the helpers that there are
    }
  }

  /// The next call for this helper, and the answer that it comes back with; waits for one.
  package func next(_ reply: inout ApprovalReply?) -> PendingNotification {
    while true {
      let ticket = signal.value
      let (next, left): (Waiting?, [Int32]) = state.withLock { state in
        if state.queue.isEmpty {
          state.idle += 1
          return (nil, [])
        }
        state.moved = monotonicClock()
        var left: [Int32] = []
        swap(&left, &state.left)
        return (state.queue.removeFirst(), left)
      }
      for descriptor in left { closeDescriptor(descriptor) }
      if let next {
        reply = next.reply
        return PendingNotification.resume(next.parked)
      }
      signal.wait(while: ticket)
      state.withLock { $0.idle -= 1 }
    }
  }

  /// Runs a call that may wait long, with its interruption arranged. Returns its result; -EINTR when interrupted.
  package func waiting(
    for notification: borrowing PendingNotification, _ body: () -> Int
  ) -> Int {
    let wait = Wait(helper: currentThread(), caller: notification.thread, id: notification.id)
    let key = state.withLock { state in
      state.nextWait += 1
      state.waits[state.nextWait] = wait
      return state.nextWait
    }
    let result = body()
    state.withLock { _ = $0.waits.removeValue(forKey: key) }
    return result
  }

  /// Whether a call is queued or being handled, whose record may still come.
  package var isBusy: Bool { state.withLock { !$0.queue.isEmpty || $0.idle < $0.threads } }

  /// A call that no helper comes to gets EAGAIN, rather than wait for what nobody may ever end. Called by
  /// the supervisor's main loop.
  func refuseStuck() {
    let stuck: [Waiting] = state.withLock { state in
      guard !state.queue.isEmpty, monotonicClock() - state.moved > Self.patience else { return [] }
      defer { state.queue.removeAll() }
      return state.queue
    }
    for waiting in stuck { refuse(waiting.parked) }
  }

  /// Interrupts helpers whose caller is gone or has a caught signal pending. Called by the supervisor's main loop.
  package func wakeAbandoned() {
    let waits = state.withLock { Array($0.waits) }
    for (key, wait) in waits
    where !callWaits(wait.id, at: listener) || hasSignalToHandle(wait.caller) {
      // Still the same wait? The helper may have gone on to another call; a stray signal does no harm there.
      let current = state.withLock { $0.waits[key] != nil }
      if current { rawCall(Int(SYS_tkill), Int(wait.helper), Int(Self.wakeSignal)) }
    }
  }
}

/// Whether the thread has a pending, unblocked signal that it catches (or that would end it): the call that it waits
/// in would return EINTR or restart by itself. `proc_pid_status(5)`.
func hasSignalToHandle(_ thread: Int32) -> Bool {
  PendingSignal(of: thread) != .none
}
