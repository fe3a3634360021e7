import Foundation
import Harness
import Testing

/// What fails, fails closed, says why, and leaves nothing half-made.
@Suite(.serialized) struct FailingTests {
  @Test(arguments: Caller.allCases) func `the tree dies with its supervisor`(caller: Caller) throws {
    let place = try Place(as: caller)
    let running = try place.start(
      place.wrapping(
        ["sh", "-c", "sleep 300 & sh -c 'sleep 301; true' & setsid sleep 302 & sleep 303"],
        policy: place.allowAll))
    #expect(eventually { place.processes(named: "sleep").count == 4 })
    let supervisors = place.supervisors
    try #require(supervisors.count == 1, "\(place.processes())")
    kill(supervisors[0], SIGKILL)
    #expect(
      eventually(within: .seconds(5)) { place.processes(named: "sleep").isEmpty }, "\(place.processes())")
    let outcome = running.finish(timeout: .seconds(10))
    #expect(outcome.status != 0 && !outcome.timedOut, "\(outcome)")
  }

  /// When the supervisor dies, what has no parent any more falls to init, where no walk finds it.
  @Test(arguments: Caller.allCases) func `an orphan whose supervisor died is ended by its first call`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let shell = place.outside + "/orphan"
    try place.copy("/bin/dash", to: shell)
    let orphan = "while [ -e /etc/hostname ]; do : </etc/hostname; done"
    let running = try place.start(
      place.wrapping(["sh", "-c", "(setsid \(shell) -c '\(orphan)' &); sleep 303"], policy: place.allowAll))
    #expect(
      eventually { !place.processes(named: "orphan").isEmpty && !place.processes(named: "sleep").isEmpty })
    let supervisors = place.supervisors
    try #require(supervisors.count == 1, "\(place.processes())")
    kill(supervisors[0], SIGKILL)
    #expect(
      eventually(within: .seconds(5)) {
        place.processes(named: "orphan").isEmpty && place.processes(named: "sleep").isEmpty
      }, "\(place.processes())")
    _ = running.finish(timeout: .seconds(10))
  }

  @Test(arguments: Caller.allCases) func `a session goes on without its daemon, and its events come later`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let policy = try place.policy(
      """
      file_rules:
        - {name: no-secret, paths: ["\(place.outside)/**"], operations: ["*"], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    try place.write("s", to: place.outside + "/early")
    try place.write("s", to: place.outside + "/late")
    let script =
      "cat \(place.outside)/early; touch began; while [ ! -e go ]; do sleep 0.1; done; cat \(place.outside)/late; echo end"
    let running = try place.start(place.wrapping(["sh", "-c", script], policy: policy, options: ["--quiet"]))
    #expect(eventually { place.exists(place.workspace + "/began") })
    try #require(place.daemons.count == 1)
    kill(place.daemons[0], SIGKILL)
    #expect(eventually { place.daemons.isEmpty })
    try place.write("", to: place.workspace + "/go")
    let outcome = running.finish(timeout: .seconds(30))
    #expect(outcome.output == "end\n", "\(outcome)")
    #expect(outcome.errors.contains("\(place.outside)/late: Permission denied"), "\(outcome)")
    // The next wrap starts a daemon; the spool finds its way there.
    try #require(place.wrap(["true"]).succeeded)
    var denials: [String] = []
    _ = try eventually {
      denials = try place.denials()
      return denials.contains { $0.hasSuffix("/outside/late") }
    }
    for name in ["early", "late"] {
      #expect(denials.contains { $0 == "no-secret \(place.outside)/\(name)" }, "\(denials)")
    }
  }

  /// While the daemon answers, a start has two halves: the supervisor, and its child, which waits for the answer.
  @Test(arguments: Caller.allCases) func `a start whose halves lose each other runs nothing`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    try #require(place.wrap(["true"]).succeeded)
    try #require(place.daemons.count == 1)
    let daemon = place.daemons[0]
    defer { kill(daemon, SIGCONT) }
    for half in ["agentsh", "agentsh-supervisor"] {
      kill(daemon, SIGSTOP)
      let running = try place.start(place.wrapping(["touch", "ran"], policy: place.allowAll))
      #expect(
        eventually { place.processes(named: "agentsh").count == 1 && place.supervisors.count == 1 },
        "\(place.processes())")
      for found in place.processes(named: half) { kill(found.pid, SIGKILL) }
      kill(daemon, SIGCONT)
      let outcome = running.finish(timeout: .seconds(10))
      #expect(outcome.status == 128 + SIGKILL, "\(half): \(outcome)")
      #expect(
        eventually { place.processes().filter { $0.name != "agentshd" }.isEmpty },
        "\(half): \(place.processes())")
      #expect(!place.exists(place.workspace + "/ran"))
    }
    let again = try place.wrap(["echo", "again"])
    #expect(again.output == "again\n", "\(again)")
  }

  @Test(arguments: Caller.allCases) func `a supervisor that cannot be executed is named, and nothing runs`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let folder = place.home + "/programs"
    let supervisor = try place.write("no program\n", to: folder + "/agentsh-supervisor", mode: 0o755)
    for name in ["agentsh", "agentshd"] {
      try place.copy(try Programs.directory.get() + "/" + name, to: folder + "/" + name)
    }
    let outcome = try place.run([folder + "/agentsh", "wrap", "--", "touch", "ran"], timeout: .seconds(30))
    #expect(outcome.status == 125, "\(outcome)")
    #expect(outcome.errors == "agentsh: \(supervisor) cannot be started: ENOEXEC\n", "\(outcome)")
    #expect(!place.exists(place.workspace + "/ran"))
    #expect(
      eventually { place.processes().filter { $0.name != "agentshd" }.isEmpty }, "\(place.processes())")
    #expect(
      eventually { (try? place.run([folder + "/agentsh", "session", "list"]))?.output == "[]\n" },
      "a session stays")
  }

  @Test(arguments: Caller.allCases) func `twenty at once start one daemon`(caller: Caller) throws {
    let place = try Place(as: caller)
    let all = try (0..<20).map { number in
      try place.start(place.wrapping(["sh", "-c", "echo \(number)"], policy: nil, options: ["--quiet"]))
    }
    for (number, running) in all.enumerated() {
      let outcome = running.finish(timeout: .seconds(60))
      #expect(outcome.status == 0 && outcome.output == "\(number)\n", "\(outcome)")
    }
    #expect(place.daemons.count == 1)
  }

  @Test(arguments: Caller.allCases) func `a second daemon says that there is one`(caller: Caller) throws {
    let place = try Place(as: caller)
    try #require(place.wrap(["true"]).succeeded)
    let daemon = place.daemons
    let second = try place.agentsh(["server"], timeout: .seconds(10))
    #expect(second.status != 0 && !second.timedOut, "\(second)")
    #expect(second.errors.contains("already"), "\(second)")
    #expect(place.daemons == daemon)
    #expect(try place.wrap(["true"]).succeeded)
  }

  @Test(arguments: Caller.allCases) func `a daemon that is ending is waited for`(caller: Caller) throws {
    let place = try Place(as: caller)
    try #require(place.wrap(["true"]).succeeded)
    for pid in place.daemons { kill(pid, SIGKILL) }
    #expect(eventually { place.daemons.isEmpty })
    // As one that stores its last events: it has the lock, and takes no connections.
    let lock = open(place.runtime + "/agentsh/agentshd.lock", O_RDWR | O_CLOEXEC)
    try #require(lock >= 0 && eventually { flock(lock, LOCK_EX | LOCK_NB) == 0 })
    let waiting = try place.start(place.wrapping(["echo", "waited"], policy: nil, options: ["--quiet"]))
    // Longer than a daemon takes that ends because the lock is taken, and whatever its client does then.
    Thread.sleep(forTimeInterval: 2)
    #expect(place.daemons.count == 1, "\(place.processes())")
    close(lock)
    let outcome = waiting.finish(timeout: .seconds(20))
    #expect(outcome.output == "waited\n", "\(outcome)")
    #expect(place.daemons.count == 1)
  }

  @Test(arguments: Caller.allCases) func `a stale socket is replaced`(caller: Caller) throws {
    let place = try Place(as: caller)
    try #require(place.wrap(["true"]).succeeded)
    for pid in place.daemons { kill(pid, SIGKILL) }
    #expect(eventually { place.daemons.isEmpty })
    #expect(place.exists(place.socket))
    let again = try place.wrap(["echo", "again"])
    #expect(again.output == "again\n", "\(again)")
  }

  @Test(arguments: Caller.allCases) func `a socket path that is too long is said`(caller: Caller) throws {
    let place = try Place(as: caller)
    let long = place.runtime + "/" + String(repeating: "x", count: 90)
    try place.makeDirectory(long)
    place.environment["XDG_RUNTIME_DIR"] = long
    let outcome = try place.wrap(["touch", "ran"])
    expectRefused(outcome, saying: "bytes", "XDG_RUNTIME_DIR", in: place)
  }

  @Test(arguments: Caller.allCases) func `an unknown policy is named`(caller: Caller) throws {
    let place = try Place(as: caller)
    expectRefused(
      try place.wrap(["touch", "ran"], policy: "no-such-policy"), saying: "no-such-policy", in: place)
    expectRefused(
      try place.wrap(["touch", "ran"], policy: "/no/such/file.yaml"), saying: "/no/such/file.yaml", in: place)
  }

  @Test(arguments: Caller.allCases) func `a bad policy is refused with file, line and column`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let bad: [(String, String)] = [
      ("file_rules:\n  - {name: x, paths: [/x], decision: alow}\n", ":4:"),
      ("file_rulez: []\n", ":3:"),
      ("file_rules:\n  - {name: x, paths: ['/x[']\n", ":"),
      ("process_contexts: {}\n", ":3:"),
      ("file_rules:\n  - {name: x, paths: ['${NOWHERE}/x'], decision: allow}\n", ":4:"),
      ("command_rules:\n  - {name: x, commands: [a], args_patterns: ['(a)\\1'], decision: deny}\n", ":4:"),
    ]
    for (text, position) in bad {
      let file = try place.policy(text)
      let outcome = try place.wrap(["touch", "ran"], policy: file)
      expectRefused(outcome, saying: file, position, in: place)
      let validated = try place.agentsh(["policy", "validate", file])
      #expect(
        validated.status != 0 && (validated.output + validated.errors).contains(position), "\(validated)")
    }
    // Of several all are looked at.
    let files = try ["file_rules: []\n", "file_rulez: []\n", "network_rules: []\n"].enumerated().map {
      try place.policy($0.element, name: "p\($0.offset)")
    }
    let validated = try place.agentsh(["policy", "validate"] + files)
    #expect(validated.status == 1 && validated.errors.contains(files[1] + ":3:"), "\(validated)")
    #expect(
      validated.output.split(separator: "\n").map { $0.contains(": ok: ") } == [true, true], "\(validated)")
    #expect(try place.agentsh(["policy", "validate", files[0], files[2]]).status == 0)
    #expect(try place.agentsh(["policy", "validate"]).status == 2)
  }

  @Test(arguments: Caller.allCases) func `a workspace that is none is refused`(caller: Caller) throws {
    let place = try Place(as: caller)
    let file = try place.write("", to: place.home + "/file")
    expectRefused(
      try place.wrap(["touch", "ran"], options: ["--root", file]), saying: file, "directory", in: place)
    let missing = place.home + "/missing"
    expectRefused(
      try place.wrap(["touch", "ran"], options: ["--root", missing]), saying: missing, in: place)
    if caller == .user {
      let closed = place.home + "/closed"
      try place.makeDirectory(closed)
      chmod(closed, 0)
      expectRefused(
        try place.wrap(["touch", "ran"], options: ["--root", closed]), saying: closed, in: place)
      // Root's: its own daemon may not, and a daemon that could looks with the caller's rights.
      expectRefused(
        try place.wrap(["touch", "ran"], options: ["--root", "/root"]), saying: "/root", in: place)
    }
  }

  @Test(arguments: Caller.allCases) func `a command that is not there is 127`(caller: Caller) throws {
    let place = try Place(as: caller)
    for name in ["no-such-command", "/no/such/command", "./missing"] {
      let outcome = try place.wrap([name])
      #expect(outcome.status == 127, "\(outcome)")
      #expect(outcome.errors.contains(name), "\(outcome)")
    }
    try place.write("text", to: place.workspace + "/plain", mode: 0o644)
    #expect(try place.wrap(["./plain"]).status == 126)
  }

  @Test(arguments: Caller.allCases) func `a command that the policy denies is 126 and names the rule`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let policy = try place.policy(
      """
      file_rules: [{name: files, paths: ["/", "/**"], operations: ["*"], decision: allow}]
      command_rules:
        - {name: no-touching, commands: [touch], decision: deny, message: "hands off"}
        - {name: rest, commands: ["*"], decision: allow}
      """)
    try #require(place.run(["/usr/bin/touch", "bare"]).succeeded)
    let denied = try place.wrap(["touch", "ran"], policy: policy)
    #expect(denied.status == 126, "\(denied)")
    #expect(denied.errors.contains("no-touching") && denied.errors.contains("hands off"), "\(denied)")
    #expect(!place.exists(place.workspace + "/ran"))
    // Recorded as one that is denied inside.
    let events = try place.events(["--decision", "deny"])
    try #require(events.count == 1, "\(events)")
    let told = (events[0]["policy"] as? [String: Any])?["rule"] as? String
    #expect(events[0]["type"] as? String == "execve" && told == "no-touching", "\(events)")
    #expect(events[0]["path"] as? String == "/usr/bin/touch" && events[0]["depth"] as? Int == 0, "\(events)")
    #expect((events[0]["argv"] as? [String])?.last == "ran", "\(events)")
    let nested = try place.wrap(["sh", "-c", "touch ran"], policy: policy)
    #expect(nested.status == 126, "\(nested)")
    #expect(!place.exists(place.workspace + "/ran"))
  }

  @Test(arguments: Caller.allCases) func `bad command lines say how it is done`(caller: Caller) throws {
    let place = try Place(as: caller)
    for words in [
      ["wrap"], ["wrap", "--"], ["wrap", "--no-such-option", "--", "true"], ["no-such-command"],
    ] {
      let outcome = try place.agentsh(words)
      #expect(outcome.status != 0 && outcome.errors.contains("Usage"), "\(words): \(outcome)")
    }
    for words in [
      ["--help"], ["wrap", "--help"], ["events", "query", "--help"], ["policy", "validate", "--help"],
    ] {
      let outcome = try place.agentsh(words)
      #expect(outcome.succeeded && outcome.output.contains("USAGE"), "\(words): \(outcome)")
    }
    #expect(place.processes().isEmpty)
  }

  @Test(arguments: Caller.allCases) func `detect says what this machine enforces`(caller: Caller) throws {
    let place = try Place(as: caller)
    let text = try place.agentsh(["detect"])
    #expect(text.succeeded && text.output.lowercased().contains("seccomp"), "\(text)")
    let json = try place.agentsh(["detect", "--json"])
    #expect((try? JSONSerialization.jsonObject(with: Data(json.output.utf8))) is [String: Any], "\(json)")
  }

  private func expectRefused(
    _ outcome: Outcome, saying words: String..., in place: Place,
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(outcome.status != 0 && !outcome.timedOut, "\(outcome)", sourceLocation: location)
    for word in words {
      #expect(outcome.errors.contains(word), "\(word) is not in: \(outcome)", sourceLocation: location)
    }
    #expect(!place.exists(place.workspace + "/ran"), "the command ran", sourceLocation: location)
    let left = place.processes().filter { $0.name != "agentshd" }
    #expect(left.isEmpty, "left behind: \(left)", sourceLocation: location)
  }
}
