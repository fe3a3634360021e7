/// Why the launcher ended without running the command: its exit status, and a sentence for the person.
///
/// Each value is a step of WRAP-PROTOCOL section 2. Once the command runs, the status is the command's own.
package enum LaunchFailure: Int32, Sendable, CaseIterable {
  /// Not `agentsh-launch -- COMMAND [ARGS…]`.
  case usage = 64
  /// `AGENTSH_LAUNCH_PLAN` is missing or not ours.
  case badPlan = 65
  /// `AGENTSH_NOTIFY_SOCK_FD` is missing or not a SOCK_SEQPACKET socket.
  case noNotifySocket = 66
  /// `AGENTSH_KEEP_FDS` is not a list of numbers, or names a descriptor that may not be kept.
  case badKeptDescriptor = 67
  case noNewPrivileges = 71
  case capabilities = 72
  case landlock = 73
  case filter = 74
  /// The helper that sends the listener could not be made, or could not send.
  case handOff = 75
  /// The other side went away, or did not answer with 0x01.
  case noAcknowledgement = 76
  /// What was inherited could not be closed.
  case descriptors = 77
  /// Found, but the kernel or the policy does not let it be executed.
  case notExecutable = 126
  case notFound = 127

  /// What went wrong, for `agentsh: …`.
  package var sentence: String {
    switch self {
    case .usage: "usage: agentsh-launch -- COMMAND [ARGS...]"
    case .badPlan: "the launch plan is missing or of another version"
    case .noNotifySocket: "no socket to hand the listener over"
    case .badKeptDescriptor: "a descriptor to be kept is not one that may be"
    case .noNewPrivileges: "cannot give up gaining privileges"
    case .capabilities: "cannot drop capabilities"
    case .landlock: "cannot restrict file access with Landlock"
    case .filter: "cannot install the system call filter"
    case .handOff: "cannot hand the listener over"
    case .noAcknowledgement: "the supervisor did not take over"
    case .descriptors: "cannot close inherited descriptors"
    case .notExecutable: "denied by policy or not executable"
    case .notFound: "command not found"
    }
  }
}

/// How a launcher ended that did not become the command, for the person.
package struct LaunchEnd: Equatable, Sendable {
  /// Exit status for `wrap`.
  package let code: Int32
  package let message: String
  package let hint: String?

  /// - Parameters:
  ///   - code: the launcher's exit status; `signal`: what ended it, instead.
  ///   - lastLine: the last that it wrote, without its name.
  ///   - ownFailure: `wrap`'s status for failures of its own.
  package init(code: Int32, signal: Int32?, lastLine: String?, ownFailure: Int32) {
    let step = signal == nil ? LaunchFailure(rawValue: code) : nil
    switch step {
    case .notExecutable, .notFound: self.code = code
    default: self.code = ownFailure
    }
    switch step {
    case .landlock, .filter, .noNewPrivileges: hint = "agentsh detect shows what this machine can enforce"
    default: hint = nil
    }
    if let signal {
      message = "the launcher was ended by signal \(signal)" + (lastLine.map { ": " + $0 } ?? "")
    } else {
      message = lastLine ?? step?.sentence ?? "the launcher ended with status \(code)"
    }
  }
}
