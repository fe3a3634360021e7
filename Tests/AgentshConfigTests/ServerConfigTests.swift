import AgentshConfig
import Testing

@Suite struct ServerConfigTests {
  private func load(_ text: String) throws -> ServerConfig {
    try ServerConfig(yaml: Array(text.utf8), file: "c.yaml")
  }

  @Test func `everything may be left out`() throws {
    let config = try load("# nothing\n---\n")
    #expect(config == ServerConfig())
    #expect(config.idleTimeout == .seconds(600))
    #expect(config.defaultPolicy == "agent-default")
    #expect(config.overflow == .block)
  }

  @Test func `every key is read`() throws {
    let config = try load(
      """
      enforcement: auto
      running_agents: restart
      idle_timeout: 1h30m
      audit: {database: /srv/e.sqlite, jsonl: /srv/e.jsonl, retention: 30d}
      spool: {limit_mb: 8, on_overflow: kill}
      workspace_roots: [/home, /srv/]
      policies:
        directory: /etc/p
        default: ci
        allowed: [ci, agent-default]
        users: {alice: [open], "1001": [open, wide]}
        groups: {devs: [wide]}
        user_files: combine
      roles: {admin_groups: [wheel, "27"], approver_groups: [lead]}
      limits: {sessions: 3, launches: 4, connections: 5, events_per_second: 6, spool_mb: 8, approvals: 9}
      approvals: {timeout: 90s, self_approve: true}
      variables: {REGISTRY: registry.example.org}
      """)
    var wanted = ServerConfig()
    wanted.enforcement = .auto
    wanted.runningAgents = .restart
    wanted.idleTimeout = .seconds(5400)
    wanted.database = "/srv/e.sqlite"
    wanted.eventLog = "/srv/e.jsonl"
    wanted.retention = .seconds(30 * 86_400)
    wanted.spoolLimitBytes = 8 << 20
    wanted.overflow = .kill
    wanted.workspaceRoots = ["/home", "/srv"]
    wanted.policyDirectory = "/etc/p"
    wanted.defaultPolicy = "ci"
    wanted.allowedPolicies = ["ci", "agent-default"]
    wanted.policyGrants.users = ["alice": ["open"], "1001": ["open", "wide"]]
    wanted.policyGrants.groups = ["devs": ["wide"]]
    wanted.userFiles = .combine
    wanted.adminGroups = ["wheel", "27"]
    wanted.approverGroups = ["lead"]
    wanted.limits.sessions = 3
    wanted.limits.launches = 4
    wanted.limits.connections = 5
    wanted.limits.eventsPerSecond = 6
    wanted.limits.spoolBytes = 8 << 20
    wanted.limits.approvals = 9
    wanted.approvalTimeout = .seconds(90)
    wanted.selfApprove = true
    #expect(wanted.limits.spoolBytesPerLaunch == 2 << 20)
    wanted.variables = ["REGISTRY": "registry.example.org"]
    #expect(config == wanted)
  }

  @Test(arguments: [
    (
      "idle_timeuot: 5m",
      "1:1: unknown key \"idle_timeuot\" in the configuration (did you mean idle_timeout?)"
    ),
    (
      "running_agents: restart",
      "1:17: running_agents: restart means nothing where nobody is traced (with enforcement: ptrace, or auto)"
    ),
    ("idle_timeout: 5", "1:15: idle_timeout must be a duration, not \"5\" (such as 30s, 5m, 1h30m, 2d)"),
    ("audit:\n  database: e", "2:13: database must be an absolute path without . and .., not \"e\""),
    ("spool: {limit_mb: 0}", "1:19: limit_mb must be between 1 and 1000000, not 0"),
    ("spool: {on_overflow: drop}", "1:22: on_overflow cannot be \"drop\" (one of: block, kill)"),
    (
      "workspace_roots: /home",
      "1:18: workspace_roots must be a list, not a single value (write [ … ] or lines with -)"
    ),
    (
      "workspace_roots: [/a/../b]",
      "1:19: an entry of workspace_roots must be an absolute path without . and .., not \"/a/../b\""
    ),
    (
      "policies: {default: ../x}",
      "1:21: \"../x\" is no policy name (letters, digits, . _ -, not a dot first; no path, no .yaml)"
    ),
    ("policies: {allowed: [ci]}", "1:12: the default policy \"agent-default\" is not among the allowed ones"),
    (
      "policies: {user_files: maybe}", "1:24: user_files cannot be \"maybe\" (one of: refuse, allow, combine)"
    ),
    ("policies: {users: {alice: [../x]}}", "1:28: \"../x\" is no policy name"),
    ("limits: {launches: 0}", "1:20: launches must be between 1 and 10000, not 0"),
    (
      "limits: {launchs: 1}",
      "1:10: unknown key \"launchs\" in limits (did you mean launches?)"
    ),
    (
      "roles: {approver_group: [x]}",
      "1:9: unknown key \"approver_group\" in roles (did you mean approver_groups?)"
    ),
    ("limits: {approvals: 1025}", "1:21: approvals must be between 1 and 1024, not 1025"),
    ("approvals: {timeout: 10ms}", "1:22: timeout is shorter than a second (such as 5m)"),
    (
      "approvals: {self_approve: maybe}",
      "1:27: self_approve must be true or false, not \"maybe\""
    ),
    ("variables: {HOME: /x}", "1:13: HOME has its value from the session and cannot be set"),
    ("variables: {1A: x}", "1:13: \"1A\" is no variable name (letters, digits and _, not a digit first)"),
    ("- a", "1:1: the configuration must be a mapping, not a list"),
    ("audit: {}\naudit: {}", "1:1: the key \"audit\" is given twice in one mapping, first here (keep one)"),
    ("audit: [", "2:1: not YAML: while parsing a flow node (from 2:1), did not find expected node content"),
  ])
  func `what is wrong is said with its place`(text: String, message: String) {
    let failure = #expect(throws: LoadFailure.self) { try load(text) }
    #expect(failure?.description == "c.yaml:" + message)
  }

  @Test func `everything that is wrong is said at once`() {
    let failure = #expect(throws: LoadFailure.self) { try load("a: 1\nidle_timeout: x\nb: 2") }
    #expect(failure?.diagnostics.map(\.place.line) == [1, 2, 3])
  }

  @Test func `a file that is not there means the defaults only where it may be absent`() throws {
    #expect(try ServerConfig(file: "/nonexistent/c.yaml", optional: true) == ServerConfig())
    let failure = #expect(throws: LoadFailure.self) {
      try ServerConfig(file: "/nonexistent/c.yaml", optional: false)
    }
    #expect(failure?.description == "/nonexistent/c.yaml: cannot be read: open: ENOENT (2)")
  }

  @Test func `a directory is not a configuration`() {
    #expect(throws: LoadFailure.self) { try ServerConfig(file: "/etc", optional: true) }
  }
}
