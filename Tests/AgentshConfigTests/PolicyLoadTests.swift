import AgentshConfig
import AgentshPolicy
import AgentshWire
import Testing

private let context = PolicyContext(workspace: "/w", home: "/home/u")

private func load(_ text: String, allowUnenforced: Bool = false) throws -> LoadedPolicy {
  try LoadedPolicy(
    yaml: Array(("version: 1\nname: t\n" + text).utf8), file: "p", context: context,
    allowUnenforced: allowUnenforced)
}

@Suite struct PolicyLoadTests {
  /// To Swift a slash or a star is another character with a combining mark behind it; to the kernel it is a slash.
  @Test func `what a name begins with hides no slash, no star and no dots`() throws {
    func paths(_ path: String, in workspace: String = "/w") throws -> [[UInt8]] {
      let rule = #"file_rules: [{name: a, paths: [""# + path + #""], decision: deny}]"#
      return try LoadedPolicy(
        yaml: Array(("version: 1\nname: t\n" + rule).utf8), file: "p",
        context: PolicyContext(workspace: workspace, home: "/home/u"), allowUnenforced: false
      ).rules.fileRules[0].paths.map { Array($0.utf8) }
    }
    #expect(try paths(#"/workspace/\u0301x"#) == [Array("/w/\u{301}x".utf8)])
    #expect(try paths(#"/workspace/x"#, in: "/srv/*\u{301}") == [Array("/srv/\\*\u{301}/x".utf8)])
    #expect(
      try paths(#"/bin/\u0301x"#) == [Array("/bin/\u{301}x".utf8), Array("/usr/bin/\u{301}x".utf8)])
    for path in [#"/a/../\u0301b"#, #"/a/./\u0301b"#, #"/a//\u0301b"#] {
      #expect(throws: LoadFailure.self, "\(path)") { try paths(path) }
    }
    #expect(throws: Never.self) { try paths(#"/\u0301b"#) }
  }

  @Test func `every field of every list arrives`() throws {
    let rules = try load(
      """
      description: d
      metadata: {owner: me}
      file_default: deny
      file_rules:
        - name: f
          description: fd
          paths: [/a, "/b/**"]
          operations: [read, write]
          decision: redirect
          message: m
          redirect_to: /workspace/out
          preserve_tree: true
      command_rules:
        - name: c
          commands: [git, /usr/bin/make]
          args_patterns: ["^push"]
          decision: redirect
          context: [nested]
          redirect_to: {command: echo, args: [no], args_append: [x], environment: {A: b}}
        - {name: deep, context: {min_depth: 2, max_depth: 4}, decision: allow}
      network_rules:
        - {name: n, domains: [localhost, 192.0.2.1, "*"], ports: [80, 443], cidrs: [10.0.0.0/8, "fd00::/8"], decision: audit}
      unix_socket_rules:
        - {name: u, paths: ["@x", /run/x.sock], operations: [connect, sendto], decision: allow}
      signal_rules:
        - name: s
          signals: [SIGTERM, 9]
          target: {type: pid_range, min: 5, max: 9}
          decision: redirect
          redirect_to: SIGINT
          fallback: deny
      env_policy: {allow: [PATH], deny: ["X_*"], max_bytes: 1000, max_keys: 10}
      env_inject: {A: b, C: "1"}
      transparent_commands: {add: [wrap], remove: [env]}
      audit: {log_allowed: false, log_denied: true}
      """, allowUnenforced: true
    ).rules
    var file = FileRule(
      name: "f", paths: ["/a", "/b/**"],
      operations: [FileOperations(.open), FileOperations(.read), FileOperations(.write)], decision: .redirect)
    file.description = "fd"
    file.message = "m"
    file.redirectTo = "/w/out"
    file.preserveTree = true
    #expect(rules.fileRules == [file])
    #expect(rules.denyReadsByDefault)
    var command = CommandRule(name: "c", commands: ["git", "/usr/bin/make"], decision: .redirect)
    command.argumentPatterns = ["^push"]
    command.minDepth = 1
    var redirect = CommandRedirect(command: "echo")
    redirect.arguments = ["no"]
    redirect.argumentsAppend = ["x"]
    redirect.environment = ["A": "b"]
    command.redirect = redirect
    var deep = CommandRule(name: "deep", commands: [], decision: .allow)
    deep.minDepth = 2
    deep.maxDepth = 4
    #expect(rules.commandRules == [command, deep])
    var network = NetworkRule(name: "n", decision: .audit)
    network.domains = ["localhost", "192.0.2.1", "*"]
    network.ports = [80, 443]
    network.ranges = [
      AddressRange(base: .v4(0x0A00_0000), bits: 8),
      AddressRange(base: .v6(high: 0xFD << 56, low: 0), bits: 8),
    ]
    #expect(rules.networkRules == [network])
    var socket = UnixSocketRule(name: "u", paths: ["@x", "/run/x.sock"], decision: .allow)
    socket.operations = [SocketOperations(.connect), SocketOperations(.sendto)]
    #expect(rules.unixSocketRules == [socket])
    var signal = SignalRule(name: "s", signals: 1 << 14 | 1 << 8, target: .pidRange, decision: .redirect)
    signal.targetMin = 5
    signal.targetMax = 9
    signal.redirectTo = 2
    signal.fallback = .deny
    #expect(rules.signalRules == [signal])
    #expect(rules.environment.allow == ["PATH"] && rules.environment.deny == ["X_*"])
    #expect(rules.environment.maxBytes == 1000 && rules.environment.maxKeys == 10)
    #expect(rules.environment.inject == ["A": "b", "C": "1"])
    #expect(rules.transparentAdd == ["wrap"] && rules.transparentRemove == ["env"])
    #expect(!rules.audit.logAllowed)
  }

  @Test func `no operations means all, and a rule without a name gets one`() throws {
    let loaded = try load("file_rules:\n  - {paths: [/x], decision: allow}")
    #expect(loaded.rules.fileRules.first?.operations == .all)
    #expect(loaded.rules.fileRules.first?.name == "file_rules[0]")
    #expect(loaded.notes.count == 1)
  }

  @Test func `approve waits as long as its rule says, except for signals`() throws {
    let loaded = try load(
      """
      command_rules: [{name: a, decision: approve, timeout: 1500ms}]
      file_rules: [{name: f, paths: [/x], operations: [write], decision: approve}]
      signal_rules: [{name: s, signals: [SIGHUP], target: {type: self}, decision: approve}]
      """)
    #expect(loaded.rules.commandRules.first?.decision == .approve)
    #expect(loaded.rules.commandRules.first?.timeoutSeconds == 2)
    #expect(loaded.rules.fileRules.first?.timeoutSeconds == nil)
    #expect(
      loaded.notes.map(\.cause) == ["signals are not held for approval: approve is carried out as deny"])
    let policy = try CompiledPolicy(loaded.rules)
    #expect(policy.approvalTimeout(Decision(verdict: .approve, list: .command, rule: 0)) == 2)
    #expect(policy.approvalTimeout(Decision(verdict: .approve, list: .file, rule: 0)) == nil)
    #expect(policy.approvalTimeout(Decision(.deny, .file, default: .denyFiles)) == nil)
  }

  @Test func `a denial of host names takes every host, an allow of them none`() throws {
    let rules = try load(
      """
      network_rules:
        - {name: d, domains: [evil.example], ports: [443], decision: deny}
        - {name: a, domains: [good.example], decision: allow}
        - {name: rest, ports: [443, 80], decision: allow}
      """, allowUnenforced: true
    ).rules
    let policy = try CompiledPolicy(rules)
    #expect(policy.decideNetwork(address: .v4(0x0102_0304), port: 443).verdict == .deny)
    #expect(policy.ruleName(policy.decideNetwork(address: .v4(0x0102_0304), port: 80)) == "rest")
  }

  @Test func `an allow that limits the environment starts nothing until that is carried out`() throws {
    let rules = try load(
      "command_rules:\n  - {name: a, env_deny: [X], decision: allow}", allowUnenforced: true
    ).rules
    #expect(rules.commandRules.first?.decision == .deny)
  }

  @Test func `words that YAML would take for something else are names`() throws {
    let rules = try load("command_rules:\n  - {name: a, commands: [true, yes, 7z, '['], decision: allow}")
      .rules
    #expect(rules.commandRules.first?.commands == ["true", "yes", "7z", "\\["])
  }

  @Test func `a policy is found by name, by file, or built in`() throws {
    let builtIn = try PolicyLibrary.load(
      "agent-default", directories: ["/nonexistent"], context: context, allowUnenforced: false)
    #expect(builtIn.rules.name == "agent-default")
    for name in ["nope", "../x", ".hidden", ""] {
      #expect(throws: LoadFailure.self) {
        try PolicyLibrary.load(name, directories: ["/nonexistent"], context: context, allowUnenforced: false)
      }
    }
    #expect(throws: LoadFailure.self) {
      try PolicyLibrary.load("/nonexistent/x.yaml", directories: [], context: context, allowUnenforced: false)
    }
  }

  @Test func `the cache gives what loading gives`() throws {
    let cache = PolicyCache()
    let first = try cache.load("agent-default", directories: [], context: context, allowUnenforced: false)
    let second = try cache.load("agent-default", directories: [], context: context, allowUnenforced: false)
    #expect(first == second)
    let other = PolicyContext(workspace: "/other", home: "/home/u")
    #expect(try cache.load("agent-default", directories: [], context: other, allowUnenforced: false) != first)
  }

  @Test func `the launch plan mediates everything and lets the tree only execute`() {
    let user = launchPlan(for: SessionRules(PolicyRules()), ownerUID: 1000, allowDegraded: false)
    #expect(user.mediate == [.files, .commands, .sockets, .processes])
    #expect(user.landlock == [LaunchPlan.LandlockGrant(path: "/", access: 5)])
    #expect(user.keepCapabilities == 0 && !user.allowDegraded)
    let root = launchPlan(for: SessionRules(PolicyRules()), ownerUID: 0, allowDegraded: true)
    #expect(root.mediate == [.files, .commands, .sockets, .processes, .identities])
    // What either of two policies can stop is asked about.
    var own = PolicyRules()
    own.fileRules = [
      FileRule(name: "a", paths: ["/a"], operations: [.init(.stat), .init(.list)], decision: .deny)
    ]
    own.signalRules = [SignalRule(name: "s", signals: 1, target: .session, decision: .allow)]
    for pair in [(PolicyRules(), own), (own, PolicyRules())] {
      let plan = (try? SessionRules(pair.0, narrowedBy: pair.1)).map {
        launchPlan(for: $0, ownerUID: 1000, allowDegraded: false)
      }
      #expect(plan?.mediate == [.files, .commands, .sockets, .processes, .signals, .stat, .list])
    }
    #expect(root.keepCapabilities == 0b100_1111_1011 && root.allowDegraded)
  }

  @Test(
    "parents are kept where rules tell depths inside the tree apart",
    arguments: [
      ("[direct]", false), ("[nested]", false), ("{min_depth: 1}", false), ("{min_depth: 2}", true),
      ("{max_depth: 1}", true), ("{max_depth: 0}", false), ("{min_depth: 2, max_depth: 4}", true),
    ])
  func depths(told: String, expected: Bool) throws {
    let policy = try load("command_rules: [{name: a, commands: [x], context: \(told), decision: allow}]\n")
    let alone = SessionRules(policy.rules)
    // Also where the operator's policy does not, and the user's beside it does.
    for rules in [alone, try SessionRules(PolicyRules(), narrowedBy: policy.rules)] {
      let plan = launchPlan(for: rules, ownerUID: 1000, allowDegraded: false)
      #expect(plan.mediate.contains(.depths) == expected)
    }
  }

  @Test(arguments: [
    ("ptrace", Permissions.ptrace, LaunchPlan.Mediation.ptrace),
    ("user_namespaces", .userNamespaces, .userNamespaces),
  ])
  func `what both policies permit is permitted, where neither has rules that it gets around`(
    word: String, permission: Permissions, mediated: LaunchPlan.Mediation
  ) throws {
    let permitting = try load("permit: [\(word)]\n").rules
    #expect(permitting.permissions == permission)
    var signals = permitting
    signals.signalRules = [SignalRule(name: "a", signals: 1, target: .session, decision: .allow)]
    for (other, expected) in [(permitting, true), (PolicyRules(), false), (signals, false)] {
      let rules = try SessionRules(permitting, narrowedBy: other)
      #expect(rules.permissions == (expected ? permission : []))
      let plan = launchPlan(for: rules, ownerUID: 1000, allowDegraded: false)
      #expect(plan.mediate.contains(mediated) == expected)
    }
    #expect(SessionRules(permitting).permissions == permission)
  }
}
