import CLinux
import Foundation

/// What a program left behind.
package struct Outcome: Sendable, CustomStringConvertible {
  /// As a shell says it: the exit code, or 128 + the signal.
  package let status: Int32
  package let output: String
  package let errors: String
  package let timedOut: Bool

  package var succeeded: Bool { status == 0 && !timedOut }
  package var trimmed: String { output.trimmingCharacters(in: .whitespacesAndNewlines) }
  package var description: String {
    "status \(status)\(timedOut ? " (timed out)" : "")\n--- stdout\n\(output.suffix(3000))\n--- stderr\n\(errors.suffix(3000))"
  }
}

package struct HarnessError: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// A program that runs, in a session of its own. Its output goes to files: a daemon that it leaves behind and that
/// holds its standard output must not hold up the test.
package final class Running {
  package let pid: Int32
  private let pidfd: Int32
  private let outputFile: String
  private let errorFile: String
  private var ended: Int32?

  init(_ words: [String], environment: [String: String], as uid: UInt32?, input: String?, scratch: String)
    throws
  {
    let name = scratch + "/" + UUID().uuidString
    outputFile = name + ".out"
    errorFile = name + ".err"
    var inputFile = "/dev/null"
    if let input {
      inputFile = name + ".in"
      try Data(input.utf8).write(to: URL(fileURLWithPath: inputFile))
    }
    let files = [
      open(inputFile, O_RDONLY | O_CLOEXEC), open(outputFile, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600),
      open(errorFile, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600),
    ]
    defer { for file in files { close(file) } }
    guard files.allSatisfy({ $0 >= 0 }) else { throw HarnessError("cannot open \(name).*: errno \(errno)") }

    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] =
      environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in arguments + variables { free(pointer) } }
    var pidfd: Int32 = -1
    var stage: Int32 = 0
    let pid = arguments.withUnsafeMutableBufferPointer { argv in
      variables.withUnsafeMutableBufferPointer { envp in
        files.withUnsafeBufferPointer { fds in
          var request = clinux_spawn()
          request.path = UnsafePointer(argv[0])
          request.argv = UnsafePointer(argv.baseAddress)
          request.envp = UnsafePointer(envp.baseAddress)
          request.fds = fds.baseAddress
          request.fd_count = 3
          request.new_session = 1
          if let uid {
            request.set_ids = 1
            request.uid = uid
            request.gid = uid
          }
          return clinux_spawn(&request, &pidfd, &stage)
        }
      }
    }
    guard pid > 0 else { throw HarnessError("cannot start \(words[0]): errno \(-pid) at step \(stage)") }
    self.pid = Int32(pid)
    self.pidfd = pidfd
  }

  deinit {
    if ended == nil {
      Glibc.kill(-pid, SIGKILL)
      Glibc.kill(pid, SIGKILL)
      reap()
    }
    close(pidfd)
  }

  /// What it has written so far.
  package var outputSoFar: String { text(outputFile) }
  package var hasEnded: Bool {
    var poll = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
    return ended != nil || Glibc.poll(&poll, 1, 0) == 1
  }
  package var errorsSoFar: String { text(errorFile) }

  package func signal(_ number: Int32) { Glibc.kill(pid, number) }

  /// Waits; after the timeout the whole process group is killed.
  package func finish(timeout: Duration = .seconds(60)) -> Outcome {
    var poll = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
    let timedOut = Glibc.poll(&poll, 1, Int32(timeout / .milliseconds(1))) == 0
    if timedOut {
      Glibc.kill(-pid, SIGKILL)
      Glibc.kill(pid, SIGKILL)
    }
    reap()
    return Outcome(status: ended ?? -1, output: text(outputFile), errors: text(errorFile), timedOut: timedOut)
  }

  private func reap() {
    guard ended == nil else { return }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    ended = clinux_wifsignaled(status) != 0 ? 128 + clinux_wtermsig(status) : clinux_wexitstatus(status)
  }

  private func text(_ file: String) -> String {
    String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: file))) ?? Data(), as: UTF8.self)
  }
}

/// Looks again and again until the condition holds: for what another process does in its own time.
package func eventually(within limit: Duration = .seconds(10), _ condition: () throws -> Bool) rethrows
  -> Bool
{
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if try condition() { return true }
    usleep(10_000)
  }
  return try condition()
}
