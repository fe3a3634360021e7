import LinuxSystem

/// Runs what may block (slow disks, NSS, a network file system) on a thread of its own while the task waits.
package func onThread<T: Sendable>(
  _ name: StaticString, _ body: @escaping @Sendable () -> Result<T, SessionError>
) async throws(SessionError) -> T {
  let result: Result<T, SessionError> = await withCheckedContinuation { continuation in
    do throws(SystemCallError) {
      try NamedThread.start(name) { continuation.resume(returning: body()) }
    } catch {
      continuation.resume(returning: .failure(.limit("no thread to be had: \(error)")))
    }
  }
  return try result.get()
}
