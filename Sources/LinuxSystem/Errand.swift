import Synchronization

/// Work on a thread of its own, on another processor where there is one, whose outcome somebody waits for. The thread ends
/// with it.
package final class Errand<Outcome: Sendable>: Sendable {
  private let content = Mutex<Outcome?>(nil)
  private let done = FutexWord()

  /// Done at once where there is no thread to be had.
  package init(_ name: StaticString, _ body: @escaping @Sendable () -> Outcome) {
    let work: @Sendable () -> Void = { [self] in
      let outcome = body()
      content.withLock { $0 = outcome }
      done.wakeAll()
    }
    if (try? NamedThread.start(name, besideUs: true, work)) == nil { work() }
  }

  package func outcome() -> Outcome {
    while true {
      let ticket = done.value
      if let outcome = content.withLock({ $0 }) { return outcome }
      done.wait(while: ticket)
    }
  }
}
