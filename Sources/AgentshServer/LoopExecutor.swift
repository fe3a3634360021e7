import NIOCore

/// Runs tasks on an event loop's own thread: between a connection and its task nobody is woken. What may block runs elsewhere
/// (`onThread`, `offLoop`), for all connections wait for that thread.
final class LoopExecutor: TaskExecutor {
  private let loop: any EventLoop

  init(_ loop: any EventLoop) { self.loop = loop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// Runs on Swift's own threads what was called on an event loop's.
func offLoop<T>(_ body: () async throws -> T) async rethrows -> T {
  try await withTaskExecutorPreference(globalConcurrentExecutor) { try await body() }
}
