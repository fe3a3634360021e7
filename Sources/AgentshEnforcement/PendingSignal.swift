/// Whether a signal waits for a thread that would interrupt its call. `proc_pid_status(5)`.
enum PendingSignal {
  case none
  /// For this thread and no other.
  case own
  /// For any thread of the process.
  case shared

  /// Of a thread that is gone: `own`, for nothing waits for it.
  init(of thread: Int32) {
    guard let status = ThreadStatus(reading: thread) else {
      self = .own
      return
    }
    let takes = ~status.blocked & ~status.ignored
    if status.pending & takes != 0 || status.sharedPending & takes != 0 && status.threads == 1 {
      self = .own
    } else {
      self = status.sharedPending & takes != 0 ? .shared : .none
    }
  }
}
