package import AgentshAPI
import CLinux
package import LinuxSystem

/// Why the daemon could not be used. `description` is the cause, `hint` the way out.
package enum ClientError: Error, Sendable, CustomStringConvertible {
  /// Nobody listens at the path.
  case noDaemon(path: String, SystemCallError)
  /// The socket is there and we may not use it.
  case notReachable(path: String, SystemCallError)
  /// Somebody listens who is not the daemon that we know.
  case untrusted(path: String, reason: String)
  /// There is no place for the daemon's socket.
  case noLocation(String)
  /// The daemon was started and did not come up; the last lines of its log.
  case notStarted(reason: String, logFile: String, log: [String])
  /// The connection broke, or what came is not HTTP.
  case transport(String)
  /// The daemon's answer was an error.
  case refused(status: Int, ErrorBody)
  /// The daemon's answer is not what the API says.
  case unexpected(String)
  /// `--config` for a daemon that runs already, or that is not ours to configure.
  case configurationTooLate(path: String)
  /// A program of the installation is missing.
  case programMissing(String, searched: [String])

  package var description: String {
    switch self {
    case .noDaemon(let path, let error): "no daemon listens on \(path) (\(error))"
    case .notReachable(let path, let error): "the daemon's socket \(path) cannot be used: \(error)"
    case .untrusted(let path, let reason): "who listens on \(path) is not trusted: \(reason)"
    case .noLocation(let reason): reason
    case .notStarted(let reason, let logFile, let log):
      "the daemon did not start: \(reason)" + log.map { "\n  | " + $0 }.joined()
        + (log.isEmpty ? "" : "\n  (from \(logFile))")
    case .transport(let reason): "the connection to the daemon failed: \(reason)"
    case .refused(_, let body): body.error
    case .unexpected(let reason): "the daemon's answer is not understood: \(reason)"
    case .configurationTooLate(let path):
      "--config is read when a daemon starts, and one runs already (\(path))"
    case .programMissing(let name, let searched):
      "\(name) is not installed: looked in " + searched.joined(separator: " and ")
    }
  }

  package var hint: String? {
    switch self {
    case .noDaemon(_, let error):
      error.errno == ECONNREFUSED
        ? "the socket is stale; it goes when a daemon starts there: agentsh server"
        : "start one with: agentsh server"
    case .notReachable:
      "inside a session the daemon cannot be reached; outside, look at the socket's owner and mode"
    case .untrusted(_, _):
      "if it is an older or another installation of yours: end it there with agentsh server stop"
    case .notStarted: "to see it start: agentsh server"
    case .transport: "agentsh server status tells whether the daemon still runs"
    case .refused(_, let body): body.hint
    case .unexpected:
      "daemon and command line may be of different versions: agentsh server stop, then try again"
    case .configurationTooLate: "agentsh server stop, then try again; or leave --config out"
    case .programMissing:
      "install agentsh as a whole: its programs lie in one directory, or in ../libexec/agentsh"
    case .noLocation: nil
    }
  }

  /// The daemon's word for it, when it was the daemon that refused.
  package var code: ErrorBody.Code? {
    if case .refused(_, let body) = self { body.code } else { nil }
  }
}
