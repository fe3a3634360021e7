import Foundation
import Harness
import Testing

/// One daemon that runs as root, and users who do not trust one another. WRAP-PROTOCOL, section 5; docs/many-users.md
@Suite(.serialized) struct ManyUsersTests {
  private func text(_ value: Any?) -> String { value as? String ?? "" }

  @Test func `directory and socket are the caller's alone, and gone after the launch, in every form`() throws
  {
    let machine = try Machine()
    try machine.startDaemon()
    for (form, claimed) in [
      ("old", "5001"), ("current", "5001"), ("token", "5001"), ("current", "none"), ("old", "0"),
    ] {
      let said = try machine.launch(
        ["/usr/bin/id", "-u"], as: machine.alice, options: ["--form", form, "--caller-uid", claimed])
      let directory = try #require(said["directory"] as? [String: Any], "\(said)")
      let socket = try #require(said["socket"] as? [String: Any])
      #expect(directory["mode"] as? String == "0o700" && directory["uid"] as? Int == 5001, "\(said)")
      #expect(socket["mode"] as? String == "0o600" && socket["uid"] as? Int == 5001, "\(said)")
      #expect(text(said["path"]).hasPrefix("/run/agentsh/handoff/"))
      #expect(said["accepted"] as? Int == 1 && said["exit"] as? Int == 0, "\(form): \(said)")
      #expect(text(said["output"]) == "5001\n" && said["left"] as? Bool == false, "\(said)")
      #expect(said["signal"] as? String == nil)
    }
  }

  @Test func `without CAP_CHOWN the compatibility modes hold, and the kernel's word keeps others out`() throws
  {
    let machine = try Machine()
    try machine.startDaemon(without: "chown")
    for form in ["old", "current", "token"] {
      let said = try machine.launch(["/usr/bin/id", "-u"], as: machine.alice, options: ["--form", form])
      let directory = try #require(said["directory"] as? [String: Any], "\(said)")
      let socket = try #require(said["socket"] as? [String: Any])
      #expect(directory["mode"] as? String == "0o711" && directory["uid"] as? Int == 0, "\(said)")
      #expect(socket["mode"] as? String == "0o666" && socket["uid"] as? Int == 0, "\(said)")
      #expect(said["exit"] as? Int == 0 && text(said["output"]) == "5001\n", "\(said)")
    }
  }

  @Test func `what comes wrong is rejected, and the right one is served after it`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    let wrong = "closed,half,nofd,twofds,wrongfd,badtoken,ptrace"
    let said = try machine.launch(
      ["/bin/echo", "served"], as: machine.alice,
      options: ["--before", "silent," + wrong, "--form", "current"])
    let before = (said["before"] as? [Any])?.map { $0 as? Int }
    #expect(before == [nil, nil, 0, 0, 0, 0, 0, 0], "\(said)")
    #expect(text(said["output"]) == "served\n", "\(said)")
    let session = text(said["session"])
    let events = try machine.api(
      "GET", "/api/v1/sessions/\(session)/history?type=handoff_refused", as: machine.alice)
    let causes = (events.body as? [[String: Any]] ?? []).map {
      text(($0["fields"] as? [String: Any])?["cause"])
    }
    #expect(causes.count == 6, "\(causes)")
    #expect(causes.contains { $0.contains("has run untraced") }, "\(causes)")
  }

  /// The client is the parent of what it starts; the supervisor is not.
  @Test func `the record has the exit code of a program whose supervisor the daemon has started`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    for (script, code) in [("exit 3", 3), ("exit 0", 0), ("kill -9 $$", 137)] {
      let said = try machine.launch(["/bin/sh", "-c", script], as: machine.alice)
      let path = "/api/v1/sessions/\(text(said["session"]))/history?type=session_finished"
      var codes: [Int?] = []
      #expect(
        eventually(within: .seconds(5)) {
          let events = try? machine.api("GET", path, as: machine.alice).body as? [[String: Any]]
          codes = (events ?? []).map { ($0["fields"] as? [String: Any])?["exit_code"] as? Int }
          return !codes.isEmpty
        })
      #expect(codes == [code], "\(said)")
    }
  }

  @Test func `a uid that contradicts the kernel is 403, and a negative one 400`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    for (claimed, status) in [("5002", 403), ("-1", 400)] {
      let said = try machine.launch(["/bin/true"], as: machine.alice, options: ["--caller-uid=" + claimed])
      #expect((said["init"] as? [String: Any])?["status"] as? Int == status, "\(said)")
    }
    #expect(try machine.run(["/bin/ls", "/run/agentsh/handoff"], as: machine.root).output.isEmpty)
  }

  @Test func `a caller that dies leaves nothing behind`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    let gone = try machine.run(
      machine.python(["launch", "--policy", "open", "--vanish", "--", "/bin/true"]), as: machine.alice)
    #expect(gone.succeeded, "\(gone)")
    #expect(
      try eventually(within: .seconds(2)) {
        try machine.run(["/bin/ls", "/run/agentsh/handoff"], as: machine.root).output.isEmpty
      })
  }

  @Test func `three users at once, each trying everything against the others`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    let users = [machine.alice, machine.bob, machine.carol]
    let script = "id -u; umask 027; touch made; while [ ! -e go ]; do sleep 0.05; done; cat made; echo end"
    let running = try users.map { user in
      try machine.start(
        machine.python([
          "launch", "--policy", "open", "--id", "work-\(user.name)", "--tell", user.home + "/told", "--form",
          user.name == "bob" ? "old" : "current", "--", "/bin/sh", "-c", script,
        ]), as: user)
    }
    let supervisors = try users.map { user in
      try #require(try started(machine, user), "\(machine.daemonErrors)")
    }
    for attacker in users {
      for (victim, supervisor) in zip(users, supervisors) where victim.uid != attacker.uid {
        let told = try #require(try? String(contentsOfFile: victim.home + "/told", encoding: .utf8))
        let path = try #require(
          (try JSONSerialization.jsonObject(with: Data(told.utf8)) as? [String: String])?["path"])
        let said = try machine.speak(["attack", "work-\(victim.name)", path, "\(supervisor)"], as: attacker)
        let statuses = ["get", "delete", "wrap-init", "events", "history", "owner", "test"].map {
          said[$0] as? Int
        }
        #expect(statuses == Array(repeating: 404, count: 7), "\(said)")
        #expect(said["listed"] as? Bool == false && said["found"] as? Int == 0, "\(said)")
        // Names are each user's own: another's is neither taken nor told of.
        #expect(said["same name"] as? Int == 201, "\(said)")
        #expect(["EACCES", "ENOENT"].contains(text(said["connect"])), "\(said)")
        #expect(text(said["list"]) == "EACCES" && text(said["state"]) == "EACCES", "\(said)")
        #expect(text(said["kill"]) == "EPERM", "\(said)")
        #expect(text(said["memory"]) == "EACCES" && text(said["descriptors"]) == "EACCES", "\(said)")
      }
    }
    for (user, running) in zip(users, running) {
      try Data().write(to: URL(filePath: user.home + "/go"))
      let said = try Machine.answer(running.finish(timeout: .seconds(20)))
      #expect(text(said["output"]) == "\(user.uid)\nend\n" && said["exit"] as? Int == 0, "\(said)")
      let made = try FileManager.default.attributesOfItem(atPath: user.home + "/made")
      #expect(
        made[.ownerAccountID] as? UInt32 == user.uid && made[.groupOwnerAccountID] as? UInt32 == user.uid)
      #expect(made[.posixPermissions] as? Int == 0o640)
    }
  }

  /// The pid of the user's supervisor, once it decides.
  private func started(_ machine: Machine, _ user: Machine.User) throws -> Int? {
    var pid: Int?
    _ = try eventually {
      let path = "/api/v1/sessions/work-\(user.name)/history?type=supervisor_ready"
      let events = try machine.api("GET", path, as: user).body as? [[String: Any]]
      pid = (events?.first?["fields"] as? [String: Any])?["supervisor_pid"] as? Int
      return pid != nil && FileManager.default.fileExists(atPath: user.home + "/made")
    }
    return pid
  }

  @Test func `a supervisor has its owner's identity and nothing more`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    let secret = machine.directory + "/secret"
    try Data("root's".utf8).write(to: URL(filePath: secret))
    chmod(secret, 0o600)
    let shared = machine.directory + "/shared"
    try Data("team's".utf8).write(to: URL(filePath: shared))
    chmod(shared, 0o640)
    chown(shared, 0, 5101)
    let script = """
      cat \(secret); cat \(shared); touch made; while [ ! -e go ]; do sleep 0.05; done
      """
    let running = try machine.start(
      machine.python([
        "launch", "--policy", "open", "--id", "work-alice", "--form", "old", "--", "/bin/sh", "-c", script,
      ]), as: machine.alice, groups: [5101])
    let pid = try #require(try started(machine, machine.alice), "\(machine.daemonErrors)")
    let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    func field(_ name: String) -> String {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") } ?? ""
      return line.dropFirst(name.count + 1).split { $0 == "\t" || $0 == " " }.joined(separator: " ")
    }
    #expect(field("Uid") == "5001 5001 5001 5001" && field("Gid") == "5001 5001 5001 5001", "\(status)")
    #expect(field("Groups") == "5101" && field("NoNewPrivs") == "1", "\(status)")
    for set in ["CapPrm", "CapEff", "CapAmb", "CapInh"] {
      #expect(field(set) == "0000000000000000", "\(status)")
    }
    // Not dumpable: its files in /proc are root's.
    let memory = try FileManager.default.attributesOfItem(atPath: "/proc/\(pid)/mem")
    #expect(memory[.ownerAccountID] as? Int == 0)
    // Standard streams, channel, listener, pidfd, spool, and what it opened itself; none of the daemon's.
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").map {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)")) ?? ""
    }
    #expect(
      !open.contains { $0.contains("sqlite") || $0.contains("agentshd.lock") || $0.contains("jsonl") },
      "\(open)")
    try Data().write(to: URL(filePath: machine.alice.home + "/go"))
    let said = try Machine.answer(running.finish(timeout: .seconds(20)))
    #expect(
      text(said["output"]) == "team's" && text(said["errors"]).contains("secret: Permission denied"),
      "\(said)")
    // Without the group in the process the supervisor does not have it either, whatever the user database says.
    let fewer = try machine.launch(["/bin/cat", shared], as: machine.alice)
    #expect(text(fewer["errors"]).contains("Permission denied"), "\(fewer)")
  }

  @Test func `the rights of the unit are enough, for users and for root`() throws {
    let unit = try String(contentsOfFile: Programs.root + "/packaging/agentshd.service", encoding: .utf8)
    let line = try #require(unit.split(separator: "\n").first { $0.hasPrefix("CapabilityBoundingSet=") })
    let rights = line.dropFirst(22).split(separator: " ").map { $0.dropFirst(4).lowercased() }
    #expect(rights.count == 9)
    let machine = try Machine()
    try machine.startDaemon(only: rights)
    let status = try String(contentsOfFile: "/proc/\(machine.daemonPid)/status", encoding: .utf8)
    #expect(status.contains("NoNewPrivs:\t1") && status.contains("CapEff:\t00000000000804fb"), "\(status)")
    let said = try machine.launch(["/bin/sh", "-c", "touch made && id -u"], as: machine.alice)
    #expect(text(said["output"]) == "5001\n", "\(said)")
    let root = try machine.launch(
      ["/bin/sh", "-c", "touch made && chown 5001 made && chmod 4755 made && stat -c '%u %a' made"],
      as: machine.root)
    #expect(text(root["output"]) == "5001 4755\n", "\(root)")
    let gone = try machine.run(
      machine.python(["launch", "--policy", "open", "--vanish", "--", "/bin/true"]), as: machine.alice)
    #expect(gone.succeeded)
    #expect(
      try eventually(within: .seconds(2)) {
        try machine.run(["/bin/ls", "/run/agentsh/handoff"], as: machine.root).output.isEmpty
      })
  }

  @Test func `the spool is root's, and its owner cannot reach it`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    let running = try machine.start(
      machine.python([
        "launch", "--policy", "open", "--id", "work-alice", "--", "/bin/sh", "-c",
        "touch made; while [ ! -e go ]; do sleep 0.05; done; touch late",
      ]), as: machine.alice)
    _ = try #require(try started(machine, machine.alice))
    let list = try machine.run(
      ["/bin/sh", "-c", "stat -c '%U %a %n' /var/lib/agentsh/spool/*"], as: machine.root)
    #expect(list.output.hasPrefix("root 600 ") && list.output.hasSuffix(".spool\n"), "\(list)")
    machine.killDaemon()
    try Data().write(to: URL(filePath: machine.alice.home + "/go"))
    #expect(try Machine.answer(running.finish(timeout: .seconds(20)))["exit"] as? Int == 0)
    // The next daemon takes what was recorded meanwhile.
    try machine.startDaemon()
    #expect(
      try eventually {
        let path = "/api/v1/sessions/work-alice/history?type=file_write"
        let events = try machine.api("GET", path, as: machine.alice).body as? [[String: Any]] ?? []
        return events.contains { text($0["path"]).hasSuffix("/late") }
      }, "\(machine.daemonErrors)")
    #expect(try machine.run(["/bin/ls", "/var/lib/agentsh/spool"], as: machine.root).output.isEmpty)
  }

  @Test func `sessions of one name come back to their owners after a restart`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    let users = [machine.alice, machine.bob]
    let running = try users.map { user in
      try machine.start(
        machine.python([
          "launch", "--policy", "open", "--id", "again", "--", "/bin/sh", "-c",
          "touch made; while [ ! -e go ]; do sleep 0.05; done; id -u",
        ]), as: user)
    }
    #expect(eventually { users.allSatisfy { FileManager.default.fileExists(atPath: $0.home + "/made") } })
    machine.killDaemon()
    try machine.startDaemon()
    for user in users {
      #expect(
        try eventually {
          let path = "/api/v1/sessions/again/history?type=supervisor_reattached"
          return (try machine.api("GET", path, as: user).body as? [Any])?.count == 1
        }, "\(user.name): \(machine.daemonErrors)")
      #expect(try machine.api("GET", "/api/v1/sessions/again", as: user).status == 200)
    }
    #expect(try machine.api("GET", "/api/v1/sessions/again", as: machine.carol).status == 404)
    for (user, running) in zip(users, running) {
      try Data().write(to: URL(filePath: user.home + "/go"))
      let said = try Machine.answer(running.finish(timeout: .seconds(20)))
      #expect(text(said["output"]) == "\(user.uid)\n" && said["exit"] as? Int == 0, "\(said)")
    }
  }

  @Test func `a user without an account is served like another`() throws {
    let machine = try Machine()
    try machine.startDaemon()
    for form in ["old", "token"] {
      let said = try machine.launch(["/usr/bin/id", "-u"], as: machine.dave, options: ["--form", form])
      #expect(text(said["output"]) == "5004\n" && said["exit"] as? Int == 0, "\(said)")
    }
  }
}
