/// The command line of `agentshd`.
///
///     agentshd [--foreground | --on-demand | --system] [--config FILE]
package struct DaemonOptions: Sendable, Equatable {
  package enum Mode: Sendable, Equatable {
    /// The user's daemon, until it is told to end.
    case foreground
    /// The user's daemon, started by a client: ends by itself when idle.
    case onDemand
    /// The machine's daemon: `/run/agentsh`, everybody may connect. Wants root.
    case system
  }
  package var mode = Mode.foreground
  package var config: String?
  /// For tests: a home directory in place of the user database's.
  package var home: String?
  /// For tests: where the other programs lie.
  package var programs: String?

  package init() {}

  /// Arguments without the program's name. Throws what is wrong with them, in words.
  package init(parsing words: [String]) throws(DaemonFailure) {
    var rest = words[...]
    var modes: [Mode] = []
    while let word = rest.popFirst() {
      switch word {
      case "--foreground": modes.append(.foreground)
      case "--on-demand": modes.append(.onDemand)
      case "--system": modes.append(.system)
      case "--config":
        guard let file = rest.popFirst(), config == nil else {
          throw DaemonFailure("--config wants one file")
        }
        config = file
      default: throw DaemonFailure("unknown argument \"\(word)\"; \(Self.usage)")
      }
    }
    guard modes.count <= 1 else {
      throw DaemonFailure("--foreground, --on-demand and --system exclude each other")
    }
    mode = modes.first ?? .foreground
  }

  package static let usage = "usage: agentshd [--foreground | --on-demand | --system] [--config FILE]"
}

/// Why the daemon does not run; one sentence for people.
package struct DaemonFailure: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
