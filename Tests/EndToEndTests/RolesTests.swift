import Foundation
import Harness
import Testing

/// Who may do what with the machine's daemon: inside and outside, administrators, policies, limits.
@Suite(.serialized) struct RolesTests {
  private func code(_ body: Any?) -> String { (body as? [String: Any])?["code"] as? String ?? "" }

  private func create(
    _ machine: Machine, as user: Machine.User, _ fields: String = ""
  ) throws -> (status: Int, body: Any) {
    try machine.api("POST", "/api/v1/sessions", "{\"workspace\":\"\(user.home)\"\(fields)}", as: user)
  }

  @Test func `an administrator sees and ends all, from the call on after it became one`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    #expect(try create(machine, as: machine.alice, ",\"id\":\"mine\"").status == 201)
    #expect(try machine.api("GET", "/api/v1/sessions/mine", as: machine.carol).status == 404)
    try machine.setMembers("carol", of: "agentsh-admin")
    #expect(try machine.api("GET", "/api/v1/sessions/mine", as: machine.carol).status == 200)
    #expect((try machine.api("GET", "/api/v1/sessions", as: machine.carol).body as? [Any])?.count == 1)
    #expect(try machine.api("GET", "/api/v1/sessions/mine/history", as: machine.carol).status == 200)
    // Programs run as the session's owner alone.
    let body = #"{"agent_command":"/bin/true","agent_args":[]}"#
    #expect(try machine.api("POST", "/api/v1/sessions/mine/wrap-init", body, as: machine.carol).status == 403)
    #expect(try create(machine, as: machine.bob, ",\"id\":\"mine\"").status == 201)
    #expect(try machine.api("DELETE", "/api/v1/sessions/mine", as: machine.carol).status == 409)
    #expect(try machine.api("DELETE", "/api/v1/sessions/mine?owner=5002", as: machine.carol).status == 204)
    try machine.setMembers("", of: "agentsh-admin")
    #expect(try machine.api("GET", "/api/v1/sessions/mine", as: machine.carol).status == 404)
    #expect(try machine.api("DELETE", "/api/v1/sessions/mine", as: machine.root).status == 204)
    #expect(try machine.api("GET", "/api/v1/sessions/mine", as: machine.alice).status == 404)
  }

  @Test func `an agent inside cannot reach the daemon, whoever it runs as`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    for user in [machine.alice, machine.root] {
      for socket in ["agentsh.sock", "supervisor.sock"] {
        let command = [
          "/usr/bin/env", "AGENTSH_SOCKET=/run/agentsh/\(socket)", "/usr/bin/python3", machine.client, "api",
          "GET",
          "/api/v1/sessions",
        ]
        let said = try machine.launch(command, as: user)
        #expect((said["output"] as? String)?.trimmingCharacters(in: .newlines) == "\"EACCES\"", "\(said)")
      }
      let script = """
        touch /run/agentsh/x; mkdir /run/agentsh/handoff/x; echo >>/var/lib/agentsh/events.jsonl
        echo >>\(machine.directory)/config.yaml; kill -9 \(machine.daemonPid) && echo killed; true
        """
      let tried = try machine.launch(["/bin/sh", "-c", script], as: user)
      #expect(tried["output"] as? String == "" && tried["exit"] as? Int == 0, "\(tried)")
    }
    #expect(try machine.api("GET", "/health", as: machine.alice).status == 200)
  }

  /// The API's own refusal, where no supervisor denies the connect.
  @Test func `the daemon itself refuses who comes from inside, or from nobody knows where`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    for user in [machine.alice, machine.root] {
      let filtered = try machine.speak(["filtered"], as: user)
      #expect(filtered["status"] as? Int == 403 && code(filtered["body"]) == "inside_session", "\(filtered)")
      let outcome = try machine.start(machine.python(["orphan"]), as: user)
      var output = ""
      #expect(
        eventually {
          output = outcome.outputSoFar
          return output.hasSuffix("}\n")
        })
      #expect(output.contains("\"status\": 403") && output.contains("is gone"), "\(output)")
      #expect(try machine.api("GET", "/api/v1/sessions", as: user).status == 200)
    }
  }

  @Test func `users and groups have policies of their own, and no files of theirs`() throws {
    let config = """
      policies:
        default: basic
        allowed: [basic]
        users: {alice: [open]}
        groups: {team: [wide]}

      """
    let rules =
      "version: 1\nname: allow-all-record\ncommand_rules: [{name: all, commands: ['*'], decision: allow}]\n"
    let machine = try Machine(policies: ["basic": rules, "wide": rules], config: config)
    try machine.setMembers("bob", of: "team")
    try machine.startDaemon()
    let asked: [(Machine.User, String, Int)] = [
      (machine.alice, "basic", 201), (machine.alice, "open", 201), (machine.alice, "wide", 403),
      (machine.bob, "basic", 201), (machine.bob, "open", 403), (machine.bob, "wide", 201),
      (machine.carol, "open", 403), (machine.carol, "wide", 403), (machine.carol, "", 201),
    ]
    for (user, policy, status) in asked {
      let answer = try create(machine, as: user, ",\"policy\":\"\(policy)\"")
      #expect(answer.status == status, "\(user.name) \(policy): \(answer)")
    }
    let listed = try machine.api("GET", "/api/v1/policies", as: machine.carol).body as? [String: Any]
    #expect((listed?["policies"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["basic"])
    let own = try create(machine, as: machine.alice, ",\"policy_text\":\"version: 1\\nname: own\\n\"")
    #expect(own.status == 403 && code(own.body) == "forbidden", "\(own)")
  }

  @Test func `a command is looked at with the caller's rights`() throws {
    let rules = """
      version: 1
      name: basic
      command_rules:
        - {name: no-id, commands: [/usr/bin/id], decision: deny}
        - {name: rest, commands: ['*'], decision: allow}
      """
    let machine = try Machine(policies: ["basic": rules])
    try machine.startDaemon()
    let closed = machine.directory + "/closed"
    mkdir(closed, 0o700)
    symlink("/usr/bin/id", closed + "/link")
    let body = "{\"agent_command\":\"\(closed)/link\",\"agent_args\":[]}"
    // Where root's link leads to is not alice's to find out; to root it is denied by what it leads to.
    for (user, status) in [(machine.root, 403), (machine.alice, 200)] {
      #expect(try create(machine, as: user, ",\"id\":\"s\",\"policy\":\"basic\"").status == 201)
      let answer = try machine.api("POST", "/api/v1/sessions/s/wrap-init", body, as: user)
      #expect(answer.status == status, "\(user.name): \(answer)")
    }
  }

  @Test func `policies that a user could change are not used, and the daemon does not start with them`()
    throws
  {
    let machine = try Machine()
    let file = machine.directory + "/policies/open.yaml"
    for (path, mode, uid) in [
      (machine.directory + "/policies", 0o777, 0), (file, 0o666, 0), (file, 0o644, 5001),
      (machine.directory + "/config.yaml", 0o664, 0),
    ] as [(String, UInt32, UInt32)] {
      chmod(path, mode)
      chown(path, uid, uid == 0 && mode == 0o664 ? 5001 : 0)
      #expect(throws: HarnessError.self, "\(path)") { try machine.startDaemon() }
      #expect(machine.daemonErrors.contains(path), "\(machine.daemonErrors)")
      chown(path, 0, 0)
      chmod(path, path.hasSuffix("policies") ? 0o755 : 0o644)
    }
    try machine.startDaemon()
    chown(file, 5001, 0)
    let changed = try create(machine, as: machine.alice, ",\"policy\":\"open\"")
    #expect(changed.status == 500 && code(changed.body) == "policy_invalid", "\(changed)")
  }

  @Test func `a limit that one user reaches is that user's error and nobody else's`() throws {
    let machine = try Machine(
      config: "limits: {sessions: 3, launches: 2, connections: 8, events_per_second: 20}\n")
    try machine.startDaemon()
    for number in 0..<4 {
      let answer = try create(machine, as: machine.alice)
      #expect(answer.status == (number < 3 ? 201 : 429), "\(answer)")
      if number == 3 {
        #expect(code(answer.body) == "limit" && "\(answer.body)".contains("limits.sessions"), "\(answer)")
      }
    }
    #expect(try create(machine, as: machine.bob).status == 201)

    let held = try machine.speak(["hold", "12"], as: machine.alice)
    #expect((held["answers"] as? [String: Int])?["HTTP/1.1 429 Too Many Requests"] == 4, "\(held)")
    let other = try machine.speak(["hold", "6", "ask"], as: machine.bob)
    #expect(
      (other["answers"] as? [String: Int])?.isEmpty == true && other["still"] as? Int == 200, "\(other)")

    let waiting = "while [ ! -e \(machine.bob.home)/go ]; do sleep 0.1; done"
    let running = try (0..<2).map { number in
      try machine.start(
        machine.python(
          [
            "launch", "--policy", "open", "--id", "run", "--tell", machine.bob.home + "/told\(number)",
          ] + (number == 1 ? ["--session", "run"] : []) + ["--", "/bin/sh", "-c", waiting]), as: machine.bob
      )
      .waiting(for: machine.bob.home + "/told\(number)")
    }
    let third = try machine.launch(["/bin/true"], as: machine.bob, options: ["--session", "run"])
    #expect((third["init"] as? [String: Any])?["status"] as? Int == 429, "\(third)")
    #expect(try machine.launch(["/bin/true"], as: machine.carol)["exit"] as? Int == 0)
    try Data().write(to: URL(filePath: machine.bob.home + "/go"))
    for one in running { #expect(try Machine.answer(one.finish(timeout: .seconds(20)))["exit"] as? Int == 0) }

    // 20 a second with a burst of 100: five hundred opens take their time, and somebody else's do not.
    let many = "i=0; while [ $i -lt 500 ]; do : </dev/null; i=$((i+1)); done"
    let slow = try machine.start(
      machine.python(["launch", "--policy", "open", "--id", "many", "--", "/bin/sh", "-c", many]),
      as: machine.carol)
    let limited = try eventually {
      let path = "/api/v1/sessions/many/history?type=limit_reached"
      return (try machine.api("GET", path, as: machine.carol).body as? [Any])?.isEmpty == false
    }
    #expect(limited)
    #expect(
      try machine.launch(["/bin/true"], as: machine.bob, options: ["--session", "run"])["exit"] as? Int == 0)
    slow.signal(SIGKILL)
  }
}

extension Running {
  /// Itself, when the file is there.
  fileprivate func waiting(for path: String) throws -> Running {
    guard eventually({ FileManager.default.fileExists(atPath: path) }) else {
      throw HarnessError("no \(path): \(finish(timeout: .zero))")
    }
    return self
  }
}
