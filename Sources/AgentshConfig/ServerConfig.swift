import LinuxSystem

/// What the operator says to the daemon; every key may be left out.
///
///     enforcement: notify          # or ptrace; auto: ptrace where notification cannot be had
///     running_agents: refuse       # or restart: ptrace mode, for clients that start the agent before it is supervised
///     idle_timeout: 10m            # an on-demand daemon without sessions ends after this; 0: never
///     audit:
///       database: /path/events.sqlite
///       jsonl: /path/events.jsonl
///       retention: 30d             # older events are deleted; without it nothing is
///     spool:
///       limit_mb: 64               # per session, for the time that the daemon is away
///       on_overflow: block         # or kill
///     workspace_roots: [/home, /srv]   # sessions must lie below one of them; empty: anywhere
///     policies:
///       directory: /etc/agentsh/policies
///       default: agent-default
///       allowed: [agent-default, ci]   # empty: all in the directory, and for a user's own daemon any file
///       users: {alice: [open]}     # beyond `allowed`
///       groups: {devs: [open]}
///       user_files: refuse         # or combine: a user's file narrows the operator's policy; or allow: replaces it
///     roles: {admin_groups: [agentsh-admin], approver_groups: [agentsh-approvers]}
///     approvals:
///       timeout: 5m                # where the policy's rule does not say
///       self_approve: false        # whether users approve for their own sessions; true for a user's own daemon
///     limits:                      # for each user
///       {sessions: 256, launches: 64, connections: 128, events_per_second: 20000, spool_mb: 4096, approvals: 64}
///     variables: {REGISTRY: registry.example.org}
package struct ServerConfig: Sendable, Equatable {
  package var enforcement: Enforcement = .notify
  package var runningAgents: RunningAgents = .refuse
  package var idleTimeout: Duration = .seconds(600)
  /// nil: where `Locations` says.
  package var database: String?
  package var eventLog: String?
  package var retention: Duration?
  package var spoolLimitBytes: UInt64 = 64 << 20
  package var overflow: Overflow = .block
  package var workspaceRoots: [String] = []
  package var policyDirectory: String?
  package var defaultPolicy = "agent-default"
  package var allowedPolicies: [String] = []
  package var policyGrants = PolicyGrants()
  /// nil: refused by the machine's daemon, allowed by a user's own.
  package var userFiles: UserFiles?
  /// Whose members see and end everybody's sessions, as uid 0 does. The machine's daemon only.
  package var adminGroups = ["agentsh-admin"]
  /// Whose members see and answer what others' calls wait for, as uid 0 does. The machine's daemon only.
  package var approverGroups = ["agentsh-approvers"]
  /// How long a call waits for approval where its rule does not say.
  package var approvalTimeout: Duration = .seconds(300)
  /// nil: not with the machine's daemon; with a user's own, whose only user is the one to ask.
  package var selfApprove: Bool?
  package var limits = UserLimits()
  /// For `${NAME}` in policies.
  package var variables: [String: String] = [:]

  /// What happens when a session's spool is full.
  package enum Overflow: String, Sendable, CaseIterable { case block, kill }

  /// How the calls of a tree come to its supervisor.
  package enum Enforcement: String, Sendable, CaseIterable { case notify, ptrace, auto }

  /// What becomes of an agent that runs already when its client asks for it to be traced.
  package enum RunningAgents: String, Sendable, CaseIterable {
    case refuse
    /// It begins again, as the launcher of its command. For `ptrace` and `auto` alone.
    case restart
  }

  package init() {}

  /// Reads a configuration. `file` is for the messages only. Throws everything that is wrong in it.
  package init(yaml bytes: [UInt8], file: String) throws(LoadFailure) {
    self.init()
    var problems = Problems()
    do throws(SyntaxError) {
      let root = try YAMLDocument.parse(bytes)
      // A file of comments only is a configuration of defaults.
      if !root.isNull { read(root, &problems) }
    } catch {
      throw LoadFailure(file: file, diagnostics: [error.diagnostic])
    }
    if !problems.list.isEmpty { throw LoadFailure(file: file, diagnostics: problems.list) }
  }

  /// Reads a configuration file. `optional`: a file that is not there means the defaults.
  package init(file: String, optional: Bool) throws(LoadFailure) {
    let bytes: [UInt8]
    do throws(SystemCallError) {
      bytes = try readFile(file, limit: YAMLDocument.byteLimit)
    } catch {
      if optional, error.isAbsence {
        self.init()
        return
      }
      throw LoadFailure(file: file, diagnostics: [Diagnostic(.whole, "cannot be read: \(error)")])
    }
    if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0A }) {
      self.init()
    } else {
      try self.init(yaml: bytes, file: file)
    }
  }

  private mutating func read(_ root: YAMLNode, _ problems: inout Problems) {
    let keys = [
      "enforcement", "running_agents", "idle_timeout", "audit", "spool", "workspace_roots", "policies",
      "variables", "roles", "limits", "approvals",
    ]
    guard let fields = Fields(root, "the configuration", keys: keys, &problems) else { return }
    if let node = fields["idle_timeout"], let time = node.duration("idle_timeout", &problems) {
      idleTimeout = time
    }
    if let node = fields["enforcement"] {
      enforcement =
        node.word("enforcement", Enforcement.allCases.map { ($0.rawValue, $0) }, &problems) ?? enforcement
    }
    if let node = fields["running_agents"] { readRunningAgents(node, &problems) }
    if let node = fields["audit"] { readAudit(node, &problems) }
    if let node = fields["spool"] { readSpool(node, &problems) }
    if let node = fields["workspace_roots"] {
      for (text, place) in node.texts("workspace_roots", &problems) {
        if let path = absolute(text, place, "an entry of workspace_roots", &problems) {
          workspaceRoots.append(path)
        }
      }
    }
    if let node = fields["policies"] { readPolicies(node, &problems) }
    if let node = fields["variables"] { readVariables(node, &problems) }
    if let node = fields["roles"] { readRoles(node, &problems) }
    if let node = fields["limits"] { readLimits(node, &problems) }
    if let node = fields["approvals"] { readApprovals(node, &problems) }
  }

  private mutating func readRunningAgents(_ node: YAMLNode, _ problems: inout Problems) {
    let words = RunningAgents.allCases.map { ($0.rawValue, $0) }
    guard let value = node.word("running_agents", words, &problems) else { return }
    runningAgents = value
    if value == .restart, enforcement == .notify {
      problems.add(
        node.place, "running_agents: restart means nothing where nobody is traced",
        wayOut: "with enforcement: ptrace, or auto")
    }
  }

  private mutating func readAudit(_ node: YAMLNode, _ problems: inout Problems) {
    guard let fields = Fields(node, "audit", keys: ["database", "jsonl", "retention"], &problems) else {
      return
    }
    database = path(fields, "database", &problems)
    eventLog = path(fields, "jsonl", &problems)
    if let node = fields["retention"], let time = node.duration("retention", &problems) {
      if time < .seconds(60) {
        problems.add(node.place, "retention is shorter than a minute", wayOut: "such as 30d")
      } else {
        retention = time
      }
    }
  }

  private mutating func readSpool(_ node: YAMLNode, _ problems: inout Problems) {
    guard let fields = Fields(node, "spool", keys: ["limit_mb", "on_overflow"], &problems) else { return }
    if let megabytes = fields["limit_mb"]?.integer("limit_mb", in: 1...1_000_000, &problems) {
      spoolLimitBytes = UInt64(megabytes) << 20
    }
    let words = Overflow.allCases.map { ($0.rawValue, $0) }
    if let value = fields["on_overflow"]?.word("on_overflow", words, &problems) { overflow = value }
  }

  private mutating func readPolicies(_ node: YAMLNode, _ problems: inout Problems) {
    let keys = ["directory", "default", "allowed", "users", "groups", "user_files"]
    guard let fields = Fields(node, "policies", keys: keys, &problems) else { return }
    readGrants(fields, &problems)
    policyDirectory = path(fields, "directory", &problems)
    if let node = fields["default"], let name = policyName(node, "default", &problems) {
      defaultPolicy = name
    }
    for (text, place) in fields["allowed"]?.texts("allowed", &problems) ?? [] {
      if isPolicyName(text) { allowedPolicies.append(text) } else { badPolicyName(text, place, &problems) }
    }
    if !allowedPolicies.isEmpty, !allowedPolicies.contains(defaultPolicy) {
      problems.add(
        fields.place(of: "allowed"), "the default policy \"\(defaultPolicy)\" is not among the allowed ones")
    }
  }

  private mutating func readVariables(_ node: YAMLNode, _ problems: inout Problems) {
    for (key, place, value) in node.textMap("variables", &problems) {
      guard let text = value.text("the variable \(key)", &problems) else { continue }
      if !isVariableName(key) {
        problems.add(
          place, "\"\(key)\" is no variable name", wayOut: "letters, digits and _, not a digit first")
      } else if PolicyContext.builtInVariables.contains(key) {
        problems.add(place, "\(key) has its value from the session and cannot be set")
      } else {
        variables[key] = text
      }
    }
  }

  private func path(_ fields: Fields, _ key: String, _ problems: inout Problems) -> String? {
    guard let node = fields[key], let text = node.text(key, &problems) else { return nil }
    return absolute(text, node.place, key, &problems)
  }

  private func absolute(_ text: String, _ place: Place, _ what: String, _ problems: inout Problems) -> String?
  {
    let names = text.pathNames
    guard text.begins(with: "/"), !names.contains(".."), !names.contains(".") else {
      problems.add(place, "\(what) must be an absolute path without . and .., not \"\(text)\"")
      return nil
    }
    return "/" + names.joined(separator: "/")
  }

  private func policyName(_ node: YAMLNode, _ what: String, _ problems: inout Problems) -> String? {
    guard let name = node.text(what, &problems) else { return nil }
    if isPolicyName(name) { return name }
    badPolicyName(name, node.place, &problems)
    return nil
  }

  private func badPolicyName(_ name: String, _ place: Place, _ problems: inout Problems) {
    problems.add(
      place, "\"\(name)\" is no policy name",
      wayOut: "letters, digits, . _ -, not a dot first; no path, no .yaml")
  }
}

/// A policy's name as in `NAME.yaml`: it can never leave its directory.
package func isPolicyName(_ name: String) -> Bool {
  guard let first = name.utf8.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-"),
    name.utf8.count <= 128,
    !name.hasSuffix(".yaml"), !name.hasSuffix(".yml")
  else { return false }
  return name.utf8.allSatisfy { isWordByte($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
}

/// `[A-Za-z_][A-Za-z0-9_]*`
func isVariableName(_ name: String) -> Bool {
  guard let first = name.utf8.first, !(0x30...0x39).contains(first), name.utf8.count <= 128 else {
    return false
  }
  return name.utf8.allSatisfy(isWordByte)
}

func isWordByte(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): true
  default: false
  }
}
