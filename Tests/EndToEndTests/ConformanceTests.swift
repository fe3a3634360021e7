import Foundation
import Harness
import Testing

/// What a program can see of the kernel is the same inside, as long as the policy allows it.
@Suite(.serialized) struct ConformanceTests {
  /// With a rule that can stop looking, those calls too are answered by the supervisor.
  static let hiding = """
    file_rules:
      - {name: hidden, paths: ["**/nothing-of-this-name"], operations: [stat, access, readlink, list, truncate], decision: deny}
      - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
    command_rules:
      - {name: all, commands: ["*"], decision: allow}
    network_rules:
      - {name: all, domains: ["*"], decision: allow}
    unix_socket_rules:
      - {name: all, paths: ["**"], decision: allow}
    """

  @Test(arguments: Caller.allCases, [false, true])
  func `every answer of the probe is the kernel's own`(caller: Caller, hides: Bool) throws {
    let place = try Place(as: caller)
    let probe = try place.install("probe")
    for folder in ["bare", "inside"] { try place.makeDirectory(place.workspace + "/" + folder) }
    let bare = try place.run([probe, "bare"])
    try #require(bare.succeeded, "\(bare)")
    let inside = try place.wrap(
      [probe, "inside"], policy: hides ? place.policy(Self.hiding) : place.allowAll)
    #expect(inside.succeeded, "\(inside)")
    let expected = bare.output.split(separator: "\n", omittingEmptySubsequences: false)
    let got = inside.output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(expected.count == got.count)
    for (line, answer) in zip(expected, got) where line != answer {
      Issue.record("bare:   \(line)\ninside: \(answer)")
    }
  }

  @Test(arguments: Caller.allCases) func `what a program closes is closed, also on a busy machine`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let closed = try place.install("closed")
    for outcome in try [place.run([closed, "1"]), place.wrap([closed, "1"], policy: place.allowAll)] {
      try #require(outcome.succeeded, "\(outcome)")
      let lines = outcome.output.split(separator: "\n").map { $0.split(separator: " ") }
      #expect(
        lines.map(\.first) == ["listener", "peer", "sender", "lock", "changed", "reader"], "\(outcome)")
      for line in lines { #expect(Int(line[1])! > 5 && line[2] == "0", "\(outcome)") }
    }
  }

  @Test(arguments: Caller.allCases) func `exit codes and deaths by signal come through`(caller: Caller) throws
  {
    let place = try Place(as: caller)
    for (script, status) in [
      ("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255), ("kill -TERM $$", 143),
      ("kill -KILL $$", 137),
      ("kill -SEGV $$", 139), ("kill -HUP $$", 129), ("(exit 3)", 3), ("sh -c 'kill -9 $$'; exit 5", 5),
    ] {
      let inside = try place.wrap(["sh", "-c", script])
      #expect(inside.status == Int32(status), "\(script): \(inside)")
    }
  }

  /// With SIGCHLD ignored, which a program inherits, the kernel keeps no status of children for anybody.
  @Test(arguments: Caller.allCases) func `an exit code comes through where the end of children is ignored`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    func status(_ wrap: [String]) throws -> Int32 {
      try place.start(["/usr/bin/env", "--ignore-signal=CHLD"] + wrap).finish(timeout: .seconds(20)).status
    }
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143)] {
      #expect(
        try status(place.wrapping(["sh", "-c", script], policy: place.allowAll)) == Int32(code), "\(script)")
    }
    #expect(try status(place.wrapping(["true"], policy: "there-is-none")) == 125)
  }

  @Test(arguments: Caller.allCases) func `signals are blocked and ignored as they were around us`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let around = ["/usr/bin/env", "--block-signal=USR1,TERM", "--ignore-signal=HUP,USR2"]
    let command = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]
    let bare = try place.run(around + command)
    try #require(bare.output.split(separator: "\n").count == 3, "\(bare)")
    let inside = try place.run(around + place.wrapping(command, policy: place.allowAll))
    #expect(inside.output == bare.output, "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `the command has none of the launcher's variables`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    for name in ["LAUNCH_PLAN", "NOTIFY_SOCK_FD", "SIGNAL_SOCK_FD", "WRAPPER_LOG_FD", "KEEP_FDS"] {
      place.environment["AGENTSH_" + name] = "9"
    }
    let inside = try place.wrap([
      "sh", "-c", "env | grep -o '^AGENTSH_[^=]*' | sort | tr '\\n' ' '; ls /proc/self/fd | grep -c '^.$'",
    ])
    #expect(inside.output == "AGENTSH_IN_SESSION AGENTSH_SESSION_ID 4\n", "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `standard input, output and error pass through unchanged`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let text = (0..<20_000).map { "line \($0) äöü \u{1F980}" }.joined(separator: "\n")
    let inside = try place.wrap(["sh", "-c", "cat; echo to the person >&2"], input: text)
    #expect(inside.output == text)
    #expect(inside.errors == "to the person\n")
    #expect(inside.status == 0)
  }

  @Test(arguments: Caller.allCases) func `arguments and environment arrive as they are`(caller: Caller) throws
  {
    let place = try Place(as: caller)
    place.environment["MY_SETTING"] = "a b\n\"c\" $d"
    let words = [
      "/usr/bin/printf", "[%s]", "", "a b", "$HOME", "*", "\"q\"", "ünï", "-n", "--", "line\nbreak",
    ]
    #expect(try place.wrap(words).output == place.run(words).output)
    let inside = try place.wrap(["sh", "-c", "printf %s \"$MY_SETTING\""])
    #expect(inside.output == "a b\n\"c\" $d")
    let left = try place.wrap(["env"]).output
    #expect(!left.contains("AGENTSH_LAUNCH_PLAN") && !left.contains("AGENTSH_NOTIFY_SOCK_FD"), "\(left)")
  }

  @Test(arguments: Caller.allCases) func `a FIFO's reader and writer wait for each other`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let reader = "mkfifo f; (sleep 0.3; echo late >f) & cat f; wait; rm f"
    let writer = "mkfifo g; (sleep 0.3; cat g) & echo early >g; wait; rm g"
    for script in [reader, writer] {
      let bare = try place.sh(script)
      try #require(bare.succeeded, "\(bare)")
      let inside = try place.wrap(["sh", "-c", script], policy: place.allowAll, timeout: .seconds(20))
      #expect(inside.succeeded, "\(inside)")
      #expect(inside.output == bare.output)
    }
  }

  @Test(arguments: Caller.allCases) func `many FIFOs that block do not hold up other opens`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let script = """
      for i in $(seq 40); do mkfifo f$i; (cat f$i >/dev/null) & done; sleep 0.3
      for i in $(seq 50); do cat /etc/hostname >/dev/null; done; echo not held up
      for i in $(seq 40); do : >f$i; done; wait; rm f*
      """
    let inside = try place.wrap(["sh", "-c", script], policy: place.allowAll, timeout: .seconds(40))
    #expect(inside.succeeded, "\(inside)")
    #expect(inside.trimmed == "not held up")
  }

  @Test(arguments: Caller.allCases) func `a signal interrupts an open that blocks`(caller: Caller) throws {
    let place = try Place(as: caller)
    let script = "mkfifo f; timeout 1 cat f; echo status $?; rm f"
    #expect(try place.sh(script).trimmed == "status 124")
    let inside = try place.wrap(["sh", "-c", script], policy: place.allowAll, timeout: .seconds(20))
    #expect(inside.trimmed == "status 124", "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `what is left in the background goes on until it ends`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let script = "(setsid sh -c 'sleep 0.5; echo done >later' >/dev/null 2>&1 &); echo first"
    let inside = try place.wrap(["sh", "-c", script], policy: place.allowAll)
    #expect(inside.trimmed == "first", "\(inside)")
    // Whether an orphan may outlive the agent is the supervisor's to say; what must not be is one without supervisor.
    _ = eventually(within: .seconds(3)) {
      place.exists(place.workspace + "/later") || place.processes(named: "sleep").isEmpty
    }
    #expect(eventually { place.processes(named: "sleep").isEmpty && place.supervisors.isEmpty })
  }

  @Test(arguments: Caller.allCases) func `nothing of ours is written to the agent's output`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let policy = try place.policy(
      """
      file_rules:
        - {name: no-secret, paths: ["\(place.outside)/**"], operations: ["*"], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    try place.write("secret", to: place.outside + "/s")
    let script = "cat \(place.outside)/s 2>&1; exit 0"
    let quiet = try place.wrap(["sh", "-c", script], policy: policy)
    #expect(quiet.output.contains("Permission denied"), "\(quiet)")
    #expect(quiet.errors.isEmpty)
    let spoken = try place.wrap(["sh", "-c", script], policy: policy, options: [])
    #expect(
      spoken.errors.contains("1 operation") && spoken.errors.contains("agentsh events query --session"),
      "\(spoken)")
    #expect(spoken.errors.split(separator: "\n").count == 1)
  }
}
