/// A policy as its author wrote it, typed: what the daemon sends to the supervisor, which compiles it.
/// Variables are expanded and the `/workspace` alias is resolved before it gets here.
package struct PolicyRules: Sendable, Equatable {
  package var version = 1
  package var name = ""
  package var description = ""
  package var fileRules: [FileRule] = []
  package var commandRules: [CommandRule] = []
  package var networkRules: [NetworkRule] = []
  package var unixSocketRules: [UnixSocketRule] = []
  package var signalRules: [SignalRule] = []
  /// `file_default: deny`: what no rule names is not even read.
  package var denyReadsByDefault = false
  package var permissions: Permissions = []
  package var environment = EnvironmentRules()
  package var audit = AuditSettings()
  package var transparentAdd: [String] = []
  package var transparentRemove: [String] = []
  /// Absolute paths (never globs) that nobody inside writes, creates, renames (them or an ancestor), deletes, binds
  /// or connects to, nor anything below them: decided before every list.
  package var floor: [String] = []
  /// Absolute paths: the directories that `soft_delete` may move a file to, best first. What lies there was deleted under
  /// some rule, maybe another session's, and is not read inside where any rule denies reading anything.
  package var trash: [String] = []
  package init() {}

  /// Whether any deletion is one that can be taken back.
  package var softDeletes: Bool { fileRules.contains { $0.decision == .softDelete } }

  /// Whether reading is denied, or asked about, anywhere: then the trash is not read either.
  package var restrictsReading: Bool {
    denyReadsByDefault
      || fileRules.contains {
        $0.decision != .allow && $0.decision != .audit && $0.operations.normalized.has(.open)
      }
  }
}

/// `permit`: what is refused to the tree unless its policy asks for it. Nothing of it goes together with rules on signals
/// or depths, which it gets around.
package struct Permissions: OptionSet, Sendable, Hashable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Processes of the tree may trace one another, and read one another's memory.
  package static let ptrace = Permissions(rawValue: 1)
  /// They may make namespaces, mount in them and change their root.
  package static let userNamespaces = Permissions(rawValue: 2)
  package static let all: Permissions = [.ptrace, .userNamespaces]
}

package struct FileRule: Sendable, Equatable {
  package var name: String
  package var description = ""
  /// Globs over canonical absolute paths.
  package var paths: [String]
  package var operations: FileOperations = .all
  package var decision: Verdict
  package var message = ""
  package var timeoutSeconds: UInt32?
  package var redirectTo: String?
  package var preserveTree = false
  package init(name: String, paths: [String], operations: FileOperations = .all, decision: Verdict) {
    self.name = name
    self.paths = paths
    self.operations = operations
    self.decision = decision
  }
}

package struct CommandRule: Sendable, Equatable {
  package var name: String
  package var description = ""
  /// Empty: every command. With `/`: canonical path or glob; without: base name or glob, without case.
  package var commands: [String]
  /// RE2 expressions over the arguments (without argv[0]) joined by one space; empty: any arguments.
  package var argumentPatterns: [String] = []
  package var decision: Verdict
  package var message = ""
  package var timeoutSeconds: UInt32?
  /// 0: started by agentsh; 1 and more: by the tree. nil bound: none.
  package var minDepth: UInt32?
  package var maxDepth: UInt32?
  package var redirect: CommandRedirect?
  package init(name: String, commands: [String], decision: Verdict) {
    self.name = name
    self.commands = commands
    self.decision = decision
  }
}

package struct CommandRedirect: Sendable, Equatable {
  package var command: String
  package var arguments: [String] = []
  package var argumentsAppend: [String] = []
  package var environment: [String: String] = [:]
  package init(command: String) { self.command = command }
}

package struct NetworkRule: Sendable, Equatable {
  package var name: String
  package var description = ""
  /// Host names and globs of labels; a lone `*` is every host. Empty: not asked.
  package var domains: [String] = []
  package var ports: [UInt16] = []
  package var ranges: [AddressRange] = []
  package var decision: Verdict
  package var message = ""
  package var timeoutSeconds: UInt32?
  package init(name: String, decision: Verdict) {
    self.name = name
    self.decision = decision
  }
}

package struct UnixSocketRule: Sendable, Equatable {
  package var name: String
  package var description = ""
  /// Globs over canonical paths; `@name` for abstract sockets.
  package var paths: [String]
  package var operations: SocketOperations = .all
  package var decision: Verdict
  package var message = ""
  package var timeoutSeconds: UInt32?
  package init(name: String, paths: [String], decision: Verdict) {
    self.name = name
    self.paths = paths
    self.decision = decision
  }
}

package struct SignalRule: Sendable, Equatable {
  package var name: String
  package var description = ""
  /// Bit n-1 for signal n (1–64).
  package var signals: UInt64
  package var target: SignalTarget
  /// `user`: a uid; `process`: a base-name glob.
  package var targetPattern: String?
  package var targetMin: Int32?
  package var targetMax: Int32?
  package var decision: Verdict
  package var fallback: Verdict?
  package var redirectTo: Int32?
  package var message = ""
  package init(name: String, signals: UInt64, target: SignalTarget, decision: Verdict) {
    self.name = name
    self.signals = signals
    self.target = target
    self.decision = decision
  }
}

/// `env_policy`: what of the environment reaches the agent.
package struct EnvironmentRules: Sendable, Equatable {
  package var allow: [String] = []
  package var deny: [String] = []
  package var maxBytes: UInt32?
  package var maxKeys: UInt32?
  /// `env_inject`: set whatever the client has.
  package var inject: [String: String] = [:]
  package init() {}
}

/// `audit`: which decisions are recorded. Denials always are.
package struct AuditSettings: Sendable, Equatable {
  package var logAllowed = true
  package init() {}
}
