/// `POST /api/v1/sessions/{id}/wrap-init`. A field that is not one of these is an error, not ignored.
package struct WrapInitRequest: Codable, Sendable, Equatable {
  /// Absolute path of the program.
  package var agentCommand: String
  /// Its arguments, without argv[0].
  package var agentArgs: [String]
  /// The client's `getuid()`. nil or 0: an old client that does not say, or root. May only agree with the kernel's word.
  package var callerUID: Int64?
  /// `""` or `agent` from `wrap`, `shim` from the shell shim; nil as `""`.
  package var mode: String?
  /// Ours: the client is able to become the supervisor.
  package var supervise: Bool?
  /// Ours: go on where the kernel lacks a mechanism.
  package var allowDegraded: Bool?
  /// Ours: whether a process of the client's can have a seccomp listener: `available`, or why not. nil: not tried.
  package var listener: String?
  /// Upstream's clients know nothing of `supervise`.
  package var isOurs: Bool { supervise != nil }
  package static let listenerAvailable = "available"

  package init(agentCommand: String, agentArgs: [String]) {
    self.agentCommand = agentCommand
    self.agentArgs = agentArgs
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case mode, supervise
    case agentCommand = "agent_command"
    case agentArgs = "agent_args"
    case callerUID = "caller_uid"
    case allowDegraded = "allow_degraded"
    case listener
  }

  package init(from decoder: any Decoder) throws {
    try refuseUnknownFields(of: CodingKeys.self, in: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    agentCommand = try fields.decode(String.self, forKey: .agentCommand)
    // A client written in Go sends null for no arguments.
    agentArgs = try fields.decodeIfPresent([String].self, forKey: .agentArgs) ?? []
    callerUID = try fields.decodeIfPresent(Int64.self, forKey: .callerUID)
    mode = try fields.decodeIfPresent(String.self, forKey: .mode)
    supervise = try fields.decodeIfPresent(Bool.self, forKey: .supervise)
    allowDegraded = try fields.decodeIfPresent(Bool.self, forKey: .allowDegraded)
    listener = try fields.decodeIfPresent(String.self, forKey: .listener)
  }
}

/// What the client needs to start the launcher. A nil field is left out on the wire.
package struct WrapInitResponse: Codable, Sendable, Equatable {
  /// Without a launcher: the client starts the agent and hands over its pid. With one, for ours: it is going to be traced.
  package var ptraceMode: Bool?
  /// Exec interception is active, so the child may get `AGENTSH_IN_SESSION=1`.
  package var safeToBypassShellShim: Bool?
  /// The daemon's launcher. Upstream clients run it; ours runs its own.
  package var wrapperBinary: String?
  package var stubBinary: String?
  /// Opaque to the client.
  package var seccompConfig: String?
  /// Path of the Unix socket that takes the listener.
  package var notifySocket: String?
  package var signalSocket: String?
  /// Set in the launcher's environment.
  package var wrapperEnv: [String: String]?
  /// The operator's variables; they override everything before them.
  package var envInject: [String: String]?
  package var envPolicy: EnvironmentPolicy?
  /// Ours: 32 hex digits that prove to `notifySocket` that we are who asked.
  package var handoffToken: String?
  /// Ours: the client shall become the supervisor. False: the daemon starts one.
  package var supervise: Bool?
  /// Ours: directory of the launch's control group. A client that may shall start the launcher in it (`CLONE_INTO_CGROUP`);
  /// the daemon moves there whom it does not find there.
  package var controlGroup: String?
  /// Ours: what is not enforced although the policy would want it (`allow_degraded`); one sentence each.
  package var degraded: [String]?

  package init() {}

  enum CodingKeys: String, CodingKey {
    case supervise, degraded
    case ptraceMode = "ptrace_mode"
    case safeToBypassShellShim = "safe_to_bypass_shell_shim"
    case wrapperBinary = "wrapper_binary"
    case stubBinary = "stub_binary"
    case seccompConfig = "seccomp_config"
    case notifySocket = "notify_socket"
    case signalSocket = "signal_socket"
    case wrapperEnv = "wrapper_env"
    case envInject = "env_inject"
    case envPolicy = "env_policy"
    case handoffToken = "handoff_token"
    case controlGroup = "control_group"
  }
}

/// The filter over the client's environment (POLICY.md, Environment).
package struct EnvironmentPolicy: Codable, Sendable, Equatable {
  package var allow: [String]?
  package var deny: [String]?
  /// Ours. Over a maximum the command does not start.
  package var maxBytes: UInt32?
  package var maxKeys: UInt32?

  package init(allow: [String]? = nil, deny: [String]? = nil, maxBytes: UInt32? = nil, maxKeys: UInt32? = nil)
  {
    self.allow = allow
    self.deny = deny
    self.maxBytes = maxBytes
    self.maxKeys = maxKeys
  }

  enum CodingKeys: String, CodingKey {
    case allow, deny
    case maxBytes = "max_bytes"
    case maxKeys = "max_keys"
  }
}
