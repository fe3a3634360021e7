import AgentshConfig
import AgentshPolicy
import Foundation
import Testing

private let context = PolicyContext(workspace: "/srv/ws", home: "/root")
private let captures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/compat/captures")
  .path

private func reference() throws -> CompiledPolicy {
  let loaded = try LoadedPolicy(file: captures + "/ref-policy.yaml", context: context, allowUnenforced: true)
  return try CompiledPolicy(loaded.rules)
}

@Suite struct PolicyAnswerTests {
  /// Operation, subject, decision, the rule's word, rule, reason: as upstream answered (policytest-*.txt), where
  /// POLICY.md does not say otherwise.
  @Test(arguments: [
    ["file_read", "/workspace/readme.txt", "allow", "allow", "allow-workspace", ""],
    ["file_read", "/srv/ws/readme.txt", "allow", "allow", "allow-workspace", ""],
    ["file_write", "/srv/ws/secret/x", "deny", "deny", "deny-secrets", "secret directory is off limits"],
    ["file_write", "/etc/passwd", "deny", "deny", "default-deny-files", ""],
    ["file_read", "/etc/passwd", "allow", "allow", "allow-read-system", ""],
    ["file_delete", "/srv/ws/readme.txt", "allow", "allow", "allow-workspace", ""],
    ["net_connect", "127.0.0.1:18999", "allow", "allow", "allow-localhost-18999", ""],
    [
      "net_connect", "127.0.0.1:18998", "deny", "deny", "deny-localhost-other",
      "loopback is closed except 18999",
    ],
    ["net_connect", "93.184.216.34:443", "deny", "deny", "default-deny-network", ""],
    ["exec", "nc", "deny", "deny", "deny-network-tools", "raw network tools are blocked"],
    ["exec", "/usr/bin/ls", "allow", "allow", "allow-basic", ""],
    ["exec", "make", "deny", "deny", "default-deny-commands", ""],
    ["exec", "id", "allow", "audit", "audit-id", ""],
    [
      "file_read", "/srv/ws/./a/../secret/x", "deny", "deny", "deny-secrets",
      "secret directory is off limits",
    ],
    ["unix_connect", "/run/x.sock", "deny", "deny", "default-deny-unix", ""],
  ])
  func `questions are answered as upstream answered them`(row: [String]) throws {
    let answer = try PolicyAnswer(
      try reference(), try PolicyQuestion(op: row[0], path: row[1], context: context))
    #expect([answer.decision, answer.policyDecision, answer.rule, answer.reason] == Array(row[2...]))
  }

  @Test func `what waits is told apart from what is denied; signals do not wait`() throws {
    var rules = PolicyRules()
    rules.fileRules = [FileRule(name: "ask", paths: ["/x"], decision: .approve)]
    rules.signalRules = [SignalRule(name: "ask", signals: ~0, target: .children, decision: .approve)]
    let policy = try CompiledPolicy(rules)
    func answer(_ op: String, _ path: String) throws -> [String] {
      let answer = try PolicyAnswer(policy, PolicyQuestion(op: op, path: path, context: context))
      return [answer.decision, answer.policyDecision, answer.rule, answer.reason]
    }
    #expect(try answer("file_write", "/x") == ["approve", "approve", "ask", ""])
    #expect(
      try answer("signal", "SIGTERM children")
        == ["deny", "approve", "ask", "signals are not held for approval: carried out as deny"])
  }

  @Test func `an unknown operation is an error that lists the known ones`() {
    let error = #expect(throws: PolicyQuestionError.self) {
      try PolicyQuestion(op: "bogus", path: "x", context: context)
    }
    #expect(
      error?.description.hasPrefix("unknown operation \"bogus\" (one of: file_open, file_read, ") == true)
    #expect(error?.description.hasSuffix("unix_listen, signal)") == true)
  }

  @Test(arguments: [
    ["file_read", "relative"], ["file_read", ""], ["net_connect", ":80"], ["net_connect", "1.2.3.4:0"],
    ["net_connect", "1.2.3.4:99999"], ["signal", "SIGTERM"], ["signal", "SIGNOPE children"],
    ["signal", "SIGTERM nobody"],
  ])
  func `a question that has no meaning is an error`(row: [String]) throws {
    let policy = try reference()
    #expect(throws: PolicyQuestionError.self) {
      _ = try PolicyAnswer(policy, try PolicyQuestion(op: row[0], path: row[1], context: context))
    }
  }

  @Test func `arguments count for commands only`() throws {
    let rm = try PolicyQuestion(op: "exec", path: "rm", arguments: ["-rf", "/x"], context: context)
    let answer = try PolicyAnswer(try reference(), rm)
    #expect(
      answer.decision == "deny" && answer.policyDecision == "redirect" && answer.rule == "redirect-rm-rf")
    #expect(throws: PolicyQuestionError.surplusArguments("file_read")) {
      try PolicyQuestion(op: "file_read", path: "/x", arguments: ["y"], context: context)
    }
  }

  @Test func `what is not known about a host is decided strictly`() throws {
    let answer = try PolicyAnswer(
      try reference(), try PolicyQuestion(op: "net_connect", path: "example.com", context: context))
    #expect(answer.decision == "deny" && answer.rule == "deny-localhost-other")
    #expect(answer.reason.contains("the address of example.com and the port is not known"))
  }

  @Test func `the explanation goes through the rules in order`() throws {
    let answer = try PolicyAnswer(
      try reference(), try PolicyQuestion(op: "exec", path: "rm", arguments: ["x"], context: context))
    #expect(
      answer.explanation == """
        Rules in order, up to the first that matches:
           deny-network-tools  no command matches
           redirect-rm-rf      the command matches, no args pattern does
           audit-id            no command matches
        -> allow-basic         matches

        Operation: exec
        Path:      /usr/bin/rm
        Arguments: x

        Decision:  ALLOW
        Rule:      allow-basic
        """)
  }

  @Test func `what has another name by a mount is decided by it, and the answer says so`() throws {
    func mount(_ id: UInt32, _ root: String, _ point: String) -> MountPoint {
      MountPoint(id: id, parent: id - 1, device: 8, root: Array(root.utf8), point: Array(point.utf8))
    }
    let mounts = MountTable([mount(1, "/", "/"), mount(2, "/usr/bin", "/tools")])
    let question = try PolicyQuestion(op: "exec", path: "/tools/rm", arguments: ["x"], context: context)
    let answer = try PolicyAnswer(try reference(), question, mounts: mounts)
    #expect(answer.rule == "allow-basic" && answer.reason == "also mounted as /usr/bin/rm", "\(answer)")
    #expect(answer.trace.last?.matched == true && answer.trace.last?.rule == "allow-basic")
    let connect = try PolicyQuestion(op: "net_connect", path: "example.com", context: context)
    #expect(
      try PolicyAnswer(try reference(), connect, mounts: mounts) == PolicyAnswer(try reference(), connect))
  }

  @Test func `of two policies the stricter answers, and the explanation goes through both`() throws {
    var own = PolicyRules()
    own.name = "own"
    own.commandRules = [CommandRule(name: "all", commands: ["*"], decision: .allow)]
    let both = try CompiledPolicy(SessionRules(try reference().rules.main, narrowedBy: own))
    func ask(_ op: String, _ path: String) throws -> PolicyAnswer {
      try PolicyAnswer(both, try PolicyQuestion(op: op, path: path, context: context))
    }
    #expect(
      try ask("exec", "nc").explanation == """
        Each policy's rules in order, up to the first that matches; the stricter counts:
        -> deny-network-tools  matches
        -> user:all            matches

        Operation: exec
        Path:      /usr/bin/nc

        Decision:  DENY
        Rule:      deny-network-tools
        Reason:    raw network tools are blocked
        """)
    // Where an address is not known, too, each policy is asked.
    for place in ["127.0.0.1:18999", "example.com"] {
      let answer = try ask("net_connect", place)
      #expect(answer.decision == "deny")
      #expect(answer.rule == (place == "example.com" ? "deny-localhost-other" : "user:default-deny-network"))
    }
    #expect(try ask("file_write", "/srv/ws/readme.txt").rule == "user:default-deny-files")
  }

  @Test func `the text is as upstream prints it`() throws {
    let answer = try PolicyAnswer(
      try reference(), try PolicyQuestion(op: "file_write", path: "/srv/ws/secret/x", context: context))
    #expect(
      answer.text == """
        Operation: file_write
        Path:      /srv/ws/secret/x

        Decision:  DENY
        Rule:      deny-secrets
        Reason:    secret directory is off limits
        """)
  }

  @Test func `validate says everything about a policy`() {
    let good = PolicyReport.validate(
      yaml: Array("version: 1\nname: t\nfile_rules:\n  - {name: a, paths: [/x], decision: allow}".utf8),
      file: "p.yaml",
      context: context, allowUnenforced: false)
    #expect(good.isValid && good.text == "p.yaml: ok: policy \"t\", version 1, 1 file rule")
    let bad = PolicyReport.validate(
      yaml: Array("version: 1\nname: t\nbogus: 1".utf8), file: "p.yaml", context: context,
      allowUnenforced: false)
    #expect(!bad.isValid && bad.text.hasSuffix("p.yaml: 1 error, the policy is not accepted"))
    let warned = PolicyReport.validate(
      yaml: Array("version: 1\nname: t\nmcp_rules: {}".utf8), file: "p.yaml", context: context,
      allowUnenforced: true)
    #expect(warned.isValid && warned.text.hasPrefix("p.yaml:3:1: warning: mcp_rules is not enforced yet: "))
    #expect(
      PolicyReport.validate("agent-default", directories: [], context: context, allowUnenforced: false)
        .isValid)
    #expect(!PolicyReport.validate("nope", directories: [], context: context, allowUnenforced: false).isValid)
  }
}
