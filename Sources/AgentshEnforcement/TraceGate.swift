import Synchronization

/// Keeps the main thread from reaping while another thread of ours traces. A traced child's stops would be taken by
/// any wait for all children: the kernel treats the threads of one process as one tracer there (`wait_consider_task`).
package final class TraceGate: Sendable {
  private let tracing = Mutex(0)

  package init() {}

  /// To be called before PTRACE_SEIZE.
  package func enter() { tracing.withLock { $0 += 1 } }

  /// To be called after PTRACE_DETACH, or when the tracee is gone.
  package func leave() { tracing.withLock { $0 -= 1 } }

  /// Runs `body` unless somebody traces; nobody begins meanwhile. False when it was not run.
  package func whileIdle(_ body: () -> Void) -> Bool {
    tracing.withLock { count in
      guard count == 0 else { return false }
      body()
      return true
    }
  }
}
