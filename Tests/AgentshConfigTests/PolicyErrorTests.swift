import AgentshConfig
import AgentshPolicy
import Testing

private let context = PolicyContext(workspace: "/w", home: "/home/u", variables: ["REG": "r.example.org"])

private func load(_ text: String, allowUnenforced: Bool = false) throws -> LoadedPolicy {
  try LoadedPolicy(yaml: Array(text.utf8), file: "p.yaml", context: context, allowUnenforced: allowUnenforced)
}

/// The lines that are reported for a policy whose head takes the first two lines.
private func complaints(_ text: String) -> [String] {
  do {
    _ = try load("version: 1\nname: t\n" + text)
    return []
  } catch let failure as LoadFailure {
    return failure.diagnostics.map { $0.text(file: "p") }
  } catch {
    return ["\(error)"]
  }
}

@Suite struct PolicyErrorTests {
  @Test(arguments: [
    ("fil_rules: []", "p:3:1: unknown key \"fil_rules\" in the policy (did you mean file_rules?)"),
    ("services: {}", "p:3:1: services is the old name (it is called http_services now)"),
    ("file_rules: {}", "p:3:13: file_rules must be a list of rules, not a mapping (write lines with -)"),
    ("file_rules: [x]", "p:3:14: a rule of file_rules must be a mapping, not a single value"),
    (
      "file_rules:\n  - name: a\n    path: [/x]\n    paths: [/x]\n    decision: deny",
      "p:5:5: unknown key \"path\" in a rule of file_rules (did you mean paths?)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], decision: denied}",
      "p:4:38: decision cannot be \"denied\" (one of: allow, deny, approve, audit, redirect, soft_delete)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x]}",
      "p:4:5: this rule of file_rules has no decision (one of: allow, deny, approve, audit, redirect, soft_delete)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], decision: true}",
      "p:4:38: decision cannot be \"true\" (one of: allow, deny, approve, audit, redirect, soft_delete)"
    ),
    (
      "file_rules:\n  - {name: a, paths: /x, decision: deny}",
      "p:4:22: paths must be a list, not a single value (write [ … ] or lines with -)"
    ),
    (
      "file_rules:\n  - {name: a, decision: deny}",
      "p:4:5: this rule of file_rules has no paths (** is every path)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [], decision: deny}",
      "p:4:15: this rule of file_rules has no paths (** is every path)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [[/x]], decision: deny}",
      "p:4:23: an entry of paths must be text, not a list"
    ),
    (
      "file_rules:\n  - {name: a, paths: [\"/x[\"], decision: deny}",
      "p:4:23: \"/x[\": [ without ] at offset 2"
    ),
    (
      "file_rules:\n  - {name: a, paths: [\"/{a\"], decision: deny}",
      "p:4:23: \"/{a\": { without } at offset 3"
    ),
    (
      "file_rules:\n  - {name: a, paths: [\"~/.ssh/**\"], decision: deny}",
      "p:4:23: \"~/.ssh/**\" in paths matches nothing: ~ has no meaning here (write ${HOME})"
    ),
    (
      "file_rules:\n  - {name: a, paths: [\"*.pem\"], decision: deny}",
      "p:4:23: \"*.pem\" in paths matches nothing: paths are absolute and * stays within one component "
        + "(write **/*.pem, or ** for everything)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [src/x], decision: deny}",
      "p:4:23: \"src/x\" in paths matches nothing: paths are absolute (begin with /, **/, ${PROJECT_ROOT}/ or ${HOME}/)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x/], decision: deny}",
      "p:4:23: \"/x/\" in paths matches nothing: no path ends in a slash (write /x/** for what is below it)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x/../y], decision: deny}",
      "p:4:23: \"/x/../y\" in paths matches nothing: names are canonical, without . and .."
    ),
    (
      "file_rules:\n  - {name: a, paths: [\"${NOPE}/x\"], decision: deny}",
      "p:4:23: \"${NOPE}/x\": the variable NOPE has no value (give it a fallback, ${NOPE:-…}, "
        + "or a value under variables in the server's configuration)"
    ),
    ("file_rules:\n  - {name: a, paths: [\"/${HOME\"], decision: deny}", "p:4:23: \"/${HOME\": ${ without }"),
    (
      "file_rules:\n  - {name: a, paths: [\"${A B}\"], decision: deny}",
      "p:4:23: \"${A B}\": ${A B} is no variable (${NAME} or ${NAME:-fallback})"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], operations: [raed], decision: deny}",
      "p:4:41: operation cannot be \"raed\" (one of: open, read, write, create, delete, rmdir, mkdir, rename, link, "
        + "symlink, chmod, chown, mknod, truncate, setattr, stat, access, list, readlink, execute, *)"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], decision: soft_delete}",
      "p:4:5: soft_delete is for the operations delete and rmdir only"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], decision: deny, redirect_to: /y}",
      "p:4:44: redirect_to has no meaning without decision: redirect"
    ),
    ("command_rules:\n  - {name: a, args_patterns: [\"(\"], decision: deny}", "p:4:31: \"(\": "),
    ("command_rules:\n  - {name: a, args_patterns: [\"(a)\\\\1\"], decision: deny}", "p:4:31: \"(a)\\1\": "),
    ("command_rules:\n  - {name: a, context: [deep], decision: deny}", "p:4:25: context cannot be \"deep\" "),
    (
      "command_rules:\n  - {name: a, context: {min_depth: 3, max_depth: 1}, decision: deny}",
      "p:4:24: min_depth is greater than max_depth: the rule matches nothing"
    ),
    ("command_rules:\n  - {name: a, decision: redirect}", "p:4:5: decision: redirect needs redirect_to"),
    ("command_rules:\n  - {name: a, decision: absorb}", "p:4:25: decision cannot be \"absorb\" "),
    (
      "command_rules:\n  - {name: a, commands: [bin/x], decision: deny}",
      "p:4:26: \"bin/x\" in commands matches nothing"
    ),
    (
      "network_rules:\n  - {name: a, decision: deny}",
      "p:4:5: this rule of network_rules has neither domains nor ports nor cidrs (domains: [\"*\"] is every host)"
    ),
    (
      "network_rules:\n  - {name: a, ports: [0], decision: deny}",
      "p:4:23: a port must be between 1 and 65535, not 0"
    ),
    (
      "network_rules:\n  - {name: a, ports: [\"80\"], decision: deny}",
      "p:4:23: a port must be a whole number, not the quoted text \"80\""
    ),
    (
      "network_rules:\n  - {name: a, ports: [], decision: deny}",
      "p:4:15: ports is empty: the rule matches nothing "
    ),
    (
      "network_rules:\n  - {name: a, cidrs: [10.0.0.0], decision: deny}",
      "p:4:23: \"10.0.0.0\" is no address range (such as 10.0.0.0/8, fd00::/8, 192.0.2.1/32)"
    ),
    (
      "unix_socket_rules:\n  - {name: a, paths: [/x], operations: [conect], decision: deny}",
      "p:4:41: operation cannot be \"conect\" (one of: connect, bind, listen, sendto, *)"
    ),
    ("env_policy: {allow: [A=B]}", "p:3:22: \"A=B\" matches no variable's name (such as PATH or AWS_*)"),
    ("env_policy: {allow: []}", "p:3:14: allow is empty, which would let nothing through "),
    ("env_policy: {max_bytes: -1}", "p:3:25: max_bytes must be between 0 and 2147483647, not -1"),
    ("env_inject: {A: [x]}", "p:3:17: the variable A must be text, not a list"),
    ("transparent_commands: {add: [/bin/env]}", "p:3:30: \"/bin/env\" must be a base name, without /"),
    ("audit: {log_allowed: maybe}", "p:3:22: log_allowed must be true or false, not \"maybe\""),
    ("audit: {log_alowed: true}", "p:3:9: unknown key \"log_alowed\" in audit (did you mean log_allowed?)"),
    ("file_default: perhaps", "p:3:15: file_default cannot be \"perhaps\" (one of: allow, deny)"),
    ("permit: ptrace", "p:3:9: permit must be a list, not a single value "),
    ("permit: [trace]", "p:3:10: permit cannot name \"trace\" (one of: ptrace, user_namespaces)"),
    (
      "permit: [ptrace]\nsignal_rules: [{name: a, signals: [TERM], target: {type: self}, decision: allow}]",
      "p:3:10: ptrace cannot be permitted beside signal_rules: "
    ),
    (
      "permit: [ptrace]\ncommand_rules: [{name: a, commands: [x], context: {max_depth: 2}, decision: allow}]",
      "p:3:10: ptrace cannot be permitted beside rules that count depths: "
    ),
    (
      "permit: [user_namespaces]\nsignal_rules: [{name: a, signals: [TERM], target: {type: self}, decision: allow}]",
      "p:3:10: user_namespaces cannot be permitted beside signal_rules: "
    ),
    (
      "permit: [user_namespaces]\ncommand_rules: [{name: a, commands: [x], context: {max_depth: 2}, decision: allow}]",
      "p:3:10: user_namespaces cannot be permitted beside rules that count depths: "
    ),
    ("name: again", "p:2:1: the key \"name\" is given twice in one mapping, first here (keep one)"),
    (
      "file_rules: [",
      "p:4:1: not YAML: while parsing a flow node (from 4:1), did not find expected node content"
    ),
    ("file_rules: !!binary x", "p:3:13: the tag tag:yaml.org,2002:binary has no meaning here (remove it)"),
    ("metadata: &a {}\n? [x]\n: y", "p:4:3: a key must be a single word"),
    ("file_rules: *nope", "p:3:13: not YAML: found undefined alias"),
    ("metadata: &a {b: *a}", "p:3:18: not YAML: found undefined alias"),
    ("---\nname: b", "p:3:1: not YAML: a single document is expected, but found another document"),
    ("metadata: {a: b\u{1}}", "not YAML: control characters are not allowed"),
  ])
  func `what is wrong is said with line and column`(text: String, message: String) {
    let found = complaints(text)
    #expect(found.contains { $0.hasPrefix(message) || $0.hasPrefix("p: " + message) }, "\(found)")
  }

  @Test func `what is too deep or too much is said where it is, also when an alias stands for it`() {
    let (open, close) = (String(repeating: "[", count: 16), String(repeating: "]", count: 16))
    let half = open + "x" + close
    let many = "[" + String(repeating: "x, ", count: 15_000) + "x]"
    let aliases = String(repeating: "*a, ", count: 13) + "*a"
    for (text, message) in [
      ("metadata: \(open)\(half)\(close)", "p:3:43: nested deeper than 32 levels"),
      ("metadata: {a: &a \(half), b: \(open)*a\(close)}", "nested deeper than 32 levels"),
      ("metadata: {a: &a \(many), b: [\(aliases)]}", "more than 200000 values"),
    ] {
      let found = complaints(text)
      #expect(found.contains { $0.contains(message) }, "\(found)")
    }
    #expect(complaints("metadata: {a: &a \(half), b: *a}") == [])
  }

  @Test(arguments: [
    ("resource_limits: {pids_max: 5}", "p:3:19: resource_limits.pids_max is not enforced yet: "),
    ("dns_redirects: []", "p:3:1: dns_redirects is not enforced yet: "),
    ("connect_redirects: []", "p:3:1: connect_redirects is not enforced yet: "),
    ("process_contexts: {}", "p:3:1: process_contexts is not enforced yet: "),
    ("process_identities: {}", "p:3:1: process_identities is not enforced yet: "),
    ("mcp_rules: {}", "p:3:1: mcp_rules is not enforced yet: "),
    ("package_rules: []", "p:3:1: package_rules is not enforced yet: "),
    ("providers: {}", "p:3:1: providers is not enforced yet: "),
    ("http_services: {}", "p:3:1: http_services is not enforced yet: "),
    ("db_services: {}", "p:3:1: db_services is not enforced yet: "),
    ("database_rules: []", "p:3:1: database_rules is not enforced yet: "),
    ("database_connection_rules: []", "p:3:1: database_connection_rules is not enforced yet: "),
    ("policies: []", "p:3:1: policies is not enforced yet: "),
    ("audit: {log_denied: false}", "p:3:9: audit.log_denied is not enforced yet: "),
    ("audit: {include_stdout: true}", "p:3:9: audit.include_stdout is not enforced yet: "),
    ("audit: {retention_days: 5}", "p:3:9: audit.retention_days is not enforced yet: "),
    ("env_policy: {block_iteration: true}", "p:3:14: env_policy.block_iteration is not enforced yet: "),
    (
      "file_rules:\n  - {name: a, paths: [/x], redirect_to: /y, decision: redirect}",
      "p:4:55: file_rules.decision.redirect is not enforced yet: "
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], operations: [read, stat], decision: audit}",
      "p:4:47: file_rules.operations.stat is not enforced yet: looking is not asked about for the record alone"
    ),
    (
      "file_rules:\n  - {name: a, paths: [/x], decision: deny, timeout: 5m}",
      "p:4:44: file_rules.timeout is not enforced yet: "
    ),
    (
      "command_rules:\n  - {name: a, decision: allow, env_deny: [X]}",
      "p:4:32: command_rules.env_deny is not enforced yet: the rule is carried out as deny "
    ),
    (
      "network_rules:\n  - {name: a, domains: [x.com], decision: allow}",
      "p:4:25: network_rules.domains is not enforced yet: connections are decided by address, so the name never matches "
    ),
    (
      "unix_socket_rules:\n  - {name: a, paths: [/x], operations: [listen], decision: deny}",
      "p:4:28: unix_socket_rules.operations.listen is not enforced yet: "
    ),
  ])
  func `what nothing carries out is refused, and a warning where it is allowed`(text: String, message: String)
    throws
  {
    let found = complaints(text)
    #expect(found.contains { $0.hasPrefix(message) }, "\(found)")
    let loaded = try load("version: 1\nname: t\n" + text, allowUnenforced: true)
    #expect(!loaded.unenforced.isEmpty)
  }

  @Test func `version and name are required`() {
    let failure = #expect(throws: LoadFailure.self) { try load("description: x") }
    #expect(
      failure?.description
        == "p.yaml:1:1: a policy needs a version (version: 1)\np.yaml:1:1: a policy needs a name (name: my-policy)"
    )
    #expect(throws: LoadFailure.self) { try load("version: 0\nname: t") }
    #expect(throws: LoadFailure.self) { try load("version: one\nname: t") }
  }

  @Test func `all that is wrong is said, in the order of the file`() {
    let found = complaints(
      """
      file_rules:
        - {name: a, paths: ["/x["], decision: deny}
        - {name: b, paths: ["/ok", "/{"], decision: nope}
      command_rules:
        - {name: c, args_patterns: ["ok", "(", "[", "fine"], decision: deny}
      bogus: 1
      """)
    #expect(found.count == 6)
    #expect(found.map { $0.split(separator: ":")[1] } == ["4", "5", "5", "7", "7", "8"])
  }

  @Test func `bytes that are not a policy are refused`() {
    #expect(throws: LoadFailure.self) { try load("") }
    #expect(throws: LoadFailure.self) { try load("- 1") }
    #expect(throws: LoadFailure.self) { try load("version: 1\nname: t\n---\nversion: 1") }
    #expect(throws: LoadFailure.self) {
      try LoadedPolicy(yaml: [0x61, 0xFF], file: "p", context: context, allowUnenforced: true)
    }
    #expect(throws: LoadFailure.self) {
      let spaces = [UInt8](repeating: 0x20, count: (1 << 20) + 1)
      _ = try LoadedPolicy(yaml: spaces, file: "p", context: context, allowUnenforced: true)
    }
  }

  @Test(.timeLimit(.minutes(1))) func `aliases that multiply and deep nesting are refused quickly`() {
    var bomb = "version: 1\nname: t\nmetadata:\n  a0: &a0 [x, x]\n"
    for level in 1...30 {
      bomb += "  a\(level): &a\(level) [*a\(level - 1), *a\(level - 1), *a\(level - 1)]\n"
    }
    #expect(throws: LoadFailure.self) { try load(bomb) }
    var small = "version: 1\nname: t\nmetadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...4 {
      small += "  a\(level): &a\(level) [*a\(level - 1), *a\(level - 1), *a\(level - 1), *a\(level - 1)]\n"
    }
    #expect(throws: Never.self) { try load(small) }
    let deep =
      "version: 1\nname: t\nmetadata: {a: " + String(repeating: "[", count: 500)
      + String(repeating: "]", count: 500) + "}"
    #expect(throws: LoadFailure.self) { try load(deep) }
    let deeper = String(repeating: "[", count: 200_000)
    #expect(throws: LoadFailure.self) { try load(deeper) }
  }
}
