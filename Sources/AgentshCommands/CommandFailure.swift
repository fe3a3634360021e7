package import AgentshClient

/// Why a command ends without having done its work: for stderr, with the exit code.
package struct CommandFailure: Error, Sendable, Equatable, CustomStringConvertible {
  package let code: Int32
  package let message: String
  package let hint: String?

  package init(code: Int32 = ExitStatus.failed, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }

  package init(_ error: ClientError, code: Int32 = ExitStatus.failed) {
    self.init(code: code, error.description, hint: error.hint)
  }

  package var description: String {
    "agentsh: " + message + (hint.map { "\n  " + $0 } ?? "")
  }
}

/// Exit codes of the commands other than `wrap`'s child's own.
package enum ExitStatus {
  /// The thing asked for failed, or the answer is no (`policy validate`, `server status`).
  package static let failed: Int32 = 1
  /// A wrong command line.
  package static let usage: Int32 = 2
  /// `wrap`: agentsh itself failed; the command did not run. As env(1) and timeout(1) have it.
  package static let notWrapped: Int32 = 125
  /// `wrap`: the command was found and may not run.
  package static let denied: Int32 = 126
  /// `wrap`: there is no such command.
  package static let notFound: Int32 = 127
}
