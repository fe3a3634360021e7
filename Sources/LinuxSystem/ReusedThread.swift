import CLinux
import Synchronization

/// A `NamedThread` for work that ends soon: whoever is done waits for more of it, so that a program that does something
/// each time on a thread does not make one each time. What the work changes of its thread it has to put back.
package final class ReusedThread: Sendable {
  /// So many wait at most, each so long.
  private static let limit = 8
  private static let idleMilliseconds = 30_000

  private static let idle = Mutex<[ReusedThread]>([])

  private typealias Work = (name: StaticString, body: @Sendable () -> Void)
  private let next = Mutex<Work?>(nil)
  private let given = FutexWord()

  private init() {}

  /// As `NamedThread.start`. Throws EAGAIN when a thread is needed and the limit of threads is reached.
  package static func start(_ name: StaticString, _ body: @escaping @Sendable () -> Void)
    throws(SystemCallError)
  {
    if let thread = idle.withLock({ $0.popLast() }) { return thread.give((name, body)) }
    try NamedThread.start(name) {
      body()
      ReusedThread().serve()
    }
  }

  private func give(_ work: Work) {
    next.withLock { $0 = work }
    given.wakeOne()
  }

  /// Until nothing was given for a while, or enough others wait.
  private func serve() {
    while offer(), let work = awaitWork() {
      NamedThread.rename(work.name)
      work.body()
    }
  }

  private func offer() -> Bool {
    Self.idle.withLock { idle in
      guard idle.count < Self.limit else { return false }
      idle.append(self)
      return true
    }
  }

  /// nil when none came, and none will.
  private func awaitWork() -> Work? {
    let end = monotonicClock() + UInt64(Self.idleMilliseconds) * 1_000_000
    while true {
      let ticket = given.value
      if let work = next.withLock({ $0.take() }) { return work }
      if monotonicClock() >= end, withdraw() { return nil }
      given.wait(while: ticket, milliseconds: Self.idleMilliseconds)
    }
  }

  /// False where somebody has taken it from the list: then work comes for certain.
  private func withdraw() -> Bool {
    Self.idle.withLock { idle in
      guard let index = idle.firstIndex(where: { $0 === self }) else { return false }
      idle.remove(at: index)
      return true
    }
  }
}
