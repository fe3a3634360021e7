import Foundation
import Harness
import Testing

/// Who sees and answers what waits, with the machine's daemon.
@Suite(.serialized) struct ApproverTests {
  private static let policy = """
    version: 1
    name: asking
    file_rules:
      - {name: ask, paths: ["**/asked"], operations: [read], decision: approve}
      - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
    command_rules: [{name: rest, commands: ["*"], decision: allow}]
    network_rules: [{name: rest, domains: ["*"], decision: allow}]
    unix_socket_rules: [{name: rest, paths: ["**"], decision: allow}]

    """
  /// Asks for what `policy` asks for, and denies one more thing.
  private static let own = policy.replacing("asking", with: "own").replacing(
    "name: ask,", with: "name: ask-too,")

  private func machine(_ config: String = "") throws -> Machine {
    let policies = "policies:\n  default: asking\n  allowed: [asking]\n  user_files: combine\n"
    let machine = try Machine(policies: ["asking": Self.policy], config: policies + config)
    for user in [machine.alice, machine.bob, machine.carol] {
      try Data("asked of \(user.name)\n".utf8).write(to: URL(filePath: user.home + "/asked"))
      chown(user.home + "/asked", user.uid, user.uid)
    }
    try Data("asked of root\n".utf8).write(to: URL(filePath: machine.directory + "/asked"))
    try machine.startDaemon()
    return machine
  }

  private func start(_ machine: Machine, as user: Machine.User, options: [String] = []) throws -> Running {
    let words = machine.python(["launch", "--policy", "asking"] + options + ["--", "/usr/bin/cat", "asked"])
    return try machine.start(words, as: user)
  }

  private func waiting(_ machine: Machine, as user: Machine.User) throws -> [[String: Any]] {
    try machine.api("GET", "/api/v1/approvals", as: user).body as? [[String: Any]] ?? []
  }

  private func held(_ machine: Machine, _ count: Int = 1) throws -> [[String: Any]] {
    var found: [[String: Any]] = []
    let isThere = try eventually(within: .seconds(20)) {
      found = try waiting(machine, as: machine.root)
      return found.count == count
    }
    guard isThere else { throw HarnessError("\(count) were to wait: \(found)\n\(machine.daemonErrors)") }
    return found
  }

  private func answer(
    _ machine: Machine, _ call: [String: Any], _ word: String = "approve", as user: Machine.User
  ) throws -> Int {
    try machine.api(
      "POST", "/api/v1/approvals/\(call["id"] as? String ?? "?")", #"{"decision":"\#(word)"}"#, as: user
    ).status
  }

  private func output(_ running: Running) throws -> String {
    try Machine.answer(running.finish(timeout: .seconds(20)))["output"] as? String ?? "?"
  }

  @Test func `an approver approves for others, and nobody for themselves`() throws {
    let machine = try machine()
    try machine.setMembers("carol", of: "agentsh-approvers")
    let first = try start(machine, as: machine.alice)
    let call = try held(machine)[0]
    #expect(call["owner_uid"] as? Int == 5001 && call["rule"] as? String == "ask", "\(call)")
    // To others it does not exist; its owner sees it.
    #expect(try waiting(machine, as: machine.bob).isEmpty)
    #expect(try waiting(machine, as: machine.alice).count == 1)
    #expect(try waiting(machine, as: machine.carol).count == 1)
    #expect(try answer(machine, call, as: machine.bob) == 404)
    #expect(try answer(machine, call, as: machine.alice) == 403)
    #expect(try answer(machine, call, "allow", as: machine.carol) == 400)
    #expect(!first.hasEnded)
    #expect(try answer(machine, call, as: machine.carol) == 200)
    #expect(try output(first) == "asked of alice\n")
    #expect(try answer(machine, call, as: machine.carol) == 404)

    // An approver's own.
    let second = try start(machine, as: machine.carol)
    let own = try held(machine)[0]
    #expect(try answer(machine, own, as: machine.carol) == 403)
    // Who is one no more.
    try machine.setMembers("", of: "agentsh-approvers")
    #expect(try waiting(machine, as: machine.carol).count == 1)
    #expect(try answer(machine, own, "deny", as: machine.carol) == 200)
    #expect(try output(second) == "")

    let events = try machine.api(
      "GET", "/api/v1/events/search?type=approval_resolved&order=asc", as: machine.root)
    let fields = (events.body as? [[String: Any]])?.compactMap { $0["fields"] as? [String: Any] } ?? []
    #expect(fields.map { $0["resolved_by"] as? Int } == [5003, 5003], "\(fields)")
  }

  @Test func `root and administrators approve for others, root not for itself`() throws {
    let machine = try machine()
    try machine.setMembers("bob", of: "agentsh-admin")
    for user in [machine.root, machine.bob] {
      let running = try start(machine, as: machine.alice)
      #expect(try answer(machine, try held(machine)[0], as: user) == 200)
      #expect(try output(running) == "asked of alice\n")
    }
    let running = try start(machine, as: machine.root)
    let call = try held(machine)[0]
    #expect(try answer(machine, call, as: machine.root) == 403)
    #expect(try answer(machine, call, as: machine.bob) == 200)
    #expect(try output(running) == "asked of root\n")
  }

  @Test func `where the operator says so, users approve for themselves and still for nobody else`() throws {
    let machine = try machine("approvals: {self_approve: true}\n")
    let running = try start(machine, as: machine.alice)
    let call = try held(machine)[0]
    #expect(try answer(machine, call, as: machine.bob) == 404)
    #expect(try answer(machine, call, as: machine.alice) == 200)
    #expect(try output(running) == "asked of alice\n")
  }

  @Test func `the group of approvers is the operator's to name`() throws {
    let machine = try machine("roles: {approver_groups: [team]}\n")
    try machine.setMembers("carol", of: "agentsh-approvers")
    try machine.setMembers("bob", of: "team")
    let running = try start(machine, as: machine.alice)
    let call = try held(machine)[0]
    #expect(try answer(machine, call, as: machine.carol) == 404)
    #expect(try answer(machine, call, as: machine.bob) == 200)
    #expect(try output(running) == "asked of alice\n")
  }

  @Test func `one user's limit is nobody else's, and the others' calls are held`() throws {
    let machine = try machine("limits: {approvals: 2}\n")
    let full = try (0..<2).map { _ in try start(machine, as: machine.alice) }
    _ = try held(machine, 2)
    // A third session of the same user's.
    #expect(try output(start(machine, as: machine.alice)) == "")
    let limited = try machine.api("GET", "/api/v1/events/search?type=limit_reached", as: machine.root)
    #expect((limited.body as? [Any])?.count == 1, "\(limited)")
    let other = try start(machine, as: machine.bob)
    let calls = try held(machine, 3)
    let call = try #require(calls.first { $0["owner_uid"] as? Int == 5002 })
    #expect(try answer(machine, call, as: machine.root) == 200)
    #expect(try output(other) == "asked of bob\n")
    for call in calls where call["owner_uid"] as? Int == 5001 {
      #expect(try answer(machine, call, as: machine.root) == 200)
    }
    for running in full { #expect(try output(running) == "asked of alice\n") }
  }

  @Test func `nobody inside a session approves, whoever it runs as`() throws {
    let machine = try machine()
    try machine.setMembers("carol", of: "agentsh-approvers")
    let running = try start(machine, as: machine.alice)
    let call = try held(machine)[0]
    let path = "/api/v1/approvals/\(call["id"] as? String ?? "?")"
    for user in [machine.carol, machine.root] {
      let inside = try machine.speak(
        ["launch", "--policy", "asking", "--"]
          + machine.python(["api", "POST", path, #"{"decision":"approve"}"#]),
        as: user)
      #expect((inside["output"] as? String)?.contains("EACCES") == true, "\(inside)")
      // Where no supervisor denies the connect, the daemon refuses.
      let filtered = try machine.speak(["filtered", "POST", path, #"{"decision":"approve"}"#], as: user)
      #expect(filtered["status"] as? Int == 403, "\(filtered)")
    }
    #expect(!running.hasEnded)
    #expect(try answer(machine, call, as: machine.carol) == 200)
    #expect(try output(running) == "asked of alice\n")
  }

  @Test func `what two policies ask for is asked once`() throws {
    let machine = try machine()
    try machine.setMembers("carol", of: "agentsh-approvers")
    let text = try JSONSerialization.data(withJSONObject: [
      "workspace": machine.alice.home, "policy": "asking", "policy_text": Self.own, "id": "both",
    ])
    let made = try machine.api(
      "POST", "/api/v1/sessions", String(decoding: text, as: UTF8.self), as: machine.alice)
    try #require(made.status == 201, "\(made)")
    let running = try start(machine, as: machine.alice, options: ["--session", "both"])
    let call = try held(machine)[0]
    #expect(call["rule"] as? String == "ask")
    #expect(try answer(machine, call, as: machine.carol) == 200)
    #expect(try output(running) == "asked of alice\n")
    let events = try machine.api("GET", "/api/v1/events/search?type=approval_requested", as: machine.root)
    #expect((events.body as? [Any])?.count == 1)
  }

  @Test func `a session that is deleted takes what waits with it`() throws {
    let machine = try machine()
    let running = try start(machine, as: machine.alice, options: ["--id", "gone"])
    _ = try held(machine)
    #expect(try machine.api("DELETE", "/api/v1/sessions/gone", as: machine.alice).status == 204)
    #expect(try held(machine, 0).isEmpty)
    _ = running.finish(timeout: .seconds(20))
  }
}
