package import AgentshEvent
package import LinuxSystem
import Synchronization

/// Events of the daemon itself, on their way to the store: giving one never blocks, a thread stores them.
///
/// While the store refuses, they wait here and are tried again; at `limit` no more are taken, and who wanted to start
/// something that could then not be recorded does not start it.
package final class EventQueue: Sendable {
  package static let limit = 10_000
  /// Between two tries of a store that refused.
  package static let retryMilliseconds = 500

  private struct State {
    var waiting: [AuditRecord] = []
    var next: UInt64 = 1
    var lastError: AuditError?
    var closed = false
  }
  private let state = Mutex(State())
  private let changed = FutexWord()
  private let done = FutexWord()
  private let store: EventStore
  private let stream: UInt64
  private let onStored: @Sendable () -> Void
  private let onFailure: @Sendable (AuditError) -> Void

  /// `stream`: a random number of this life of the daemon. `onFailure` hears once of each row of failures.
  package init(
    store: EventStore, stream: UInt64, onStored: @escaping @Sendable () -> Void = {},
    onFailure: @escaping @Sendable (AuditError) -> Void
  ) throws(SystemCallError) {
    self.store = store
    self.stream = stream
    self.onStored = onStored
    self.onFailure = onFailure
    try NamedThread.start("audit") { self.run() }
  }

  /// Takes an event. Throws when the queue is full or closed.
  package func record(_ event: Event, owner: UInt32) throws(AuditError) {
    let refused: AuditError? = state.withLock { state in
      if state.closed { return .append(cause: "the daemon is ending") }
      if state.waiting.count >= Self.limit {
        return state.lastError ?? .append(cause: "too many events wait")
      }
      state.waiting.append(AuditRecord(stream: stream, number: state.next, owner: owner, event: event))
      state.next += 1
      return nil
    }
    if let refused { throw refused }
    changed.wakeOne()
  }

  /// Why the store refused the last batch; nil while it takes them.
  package var failure: AuditError? { state.withLock { $0.lastError } }

  /// Takes nothing more and waits until all is stored, at most `milliseconds`; blocks. True when all is stored.
  package func close(milliseconds: Int) -> Bool {
    let seen = done.value
    state.withLock { $0.closed = true }
    changed.wakeOne()
    if state.withLock({ $0.waiting.isEmpty }) { return true }
    done.wait(while: seen, milliseconds: milliseconds)
    return state.withLock { $0.waiting.isEmpty }
  }

  private func run() {
    while true {
      let seen = changed.value
      let (batch, closed) = state.withLock { ($0.waiting, $0.closed) }
      if batch.isEmpty {
        if closed { return done.wakeAll() }
        changed.wait(while: seen)
        continue
      }
      do throws(AuditError) {
        try store.append(batch)
        state.withLock { state in
          state.waiting.removeFirst(batch.count)
          state.lastError = nil
        }
        onStored()
      } catch {
        failed(error)
        changed.wait(while: seen, milliseconds: Self.retryMilliseconds)
      }
    }
  }

  private func failed(_ error: AuditError) {
    let isFirst = state.withLock { state in
      defer { state.lastError = error }
      return state.lastError == nil
    }
    if isFirst { onFailure(error) }
  }
}
