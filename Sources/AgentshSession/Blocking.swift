import LinuxSystem

/// Runs what may block (slow disks, NSS, a network file system) on a thread of its own while the task waits.
/// `takesRights`: the body may leave the thread with another's rights to files; then nothing else ever runs on it.
package func onThread<T: Sendable>(
  _ name: StaticString, takesRights: Bool = true, _ body: @escaping @Sendable () -> Result<T, SessionError>
) async throws(SessionError) -> T {
  let result: Result<T, SessionError> = await withCheckedContinuation { continuation in
    let work: @Sendable () -> Void = { continuation.resume(returning: body()) }
    do throws(SystemCallError) {
      if takesRights { try NamedThread.start(name, work) } else { try ReusedThread.start(name, work) }
    } catch {
      continuation.resume(returning: .failure(.limit("no thread to be had: \(error)")))
    }
  }
  return try result.get()
}
