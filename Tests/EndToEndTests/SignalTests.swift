import Foundation
import Harness
import Testing

/// Rules about signals hold for every call that sends one. What is denied is shown to arrive without us first.
@Suite(.serialized) struct SignalTests {
  private static let rules = """
    file_rules: [{name: all, paths: ["/", "/**"], operations: ["*"], decision: allow}]
    command_rules: [{name: all, commands: ["*"], decision: allow}]
    signal_rules:
      - {name: self, signals: ["@all"], target: {type: self}, decision: allow}
      - {name: no-usr2, signals: [SIGUSR2, SIGWINCH], target: {type: session}, decision: deny}
      - {name: deaf, signals: [SIGUSR1], target: {type: children}, decision: absorb}
      - {name: gently, signals: [SIGKILL], target: {type: children}, decision: redirect, redirect_to: SIGTERM}
      - {name: noted, signals: [SIGHUP], target: {type: children}, decision: audit}
      - {name: parent, signals: ["@all"], target: {type: parent}, decision: allow}
      - {name: victim, signals: [SIGUSR1], target: {type: process, pattern: "victim*"}, decision: allow}
      - {name: end, signals: [SIGTERM], target: {type: descendants}, decision: allow}
    """
  private static let calls = [
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
  ]

  private struct Stage {
    let place: Place
    let policy: String
    let script: String

    init(_ caller: Caller) throws {
      place = try Place(as: caller)
      policy = try place.policy(SignalTests.rules)
      script = place.workspace + "/signals.py"
      try place.copy(Programs.fixtures + "/signals.py", to: script)
    }

    func words(_ arguments: [String]) -> [String] { ["/usr/bin/python3", script] + arguments }
    func bare(_ arguments: [String]) throws -> [String] {
      let outcome = try place.run(words(arguments))
      try #require(outcome.succeeded, "\(outcome)")
      return outcome.output.split(separator: "\n").map(String.init)
    }
    func wrapped(_ arguments: [String]) throws -> [String] {
      let outcome = try place.wrap(words(arguments), policy: policy)
      try #require(outcome.succeeded, "\(outcome)")
      return outcome.output.split(separator: "\n").map(String.init)
    }
  }

  @Test(arguments: Caller.allCases) func `each call to a child is decided by its signal`(caller: Caller)
    throws
  {
    let stage = try Stage(caller)
    let numbers = [("USR2", 12), ("USR1", 10), ("TERM", 15), ("KILL", 9), ("HUP", 1)]
    let free = Self.calls.flatMap { call in numbers.map { "\(call) \($0.0) sent \($0.1)" } }
    #expect(try stage.bare(["children"]) == free)
    let bound = Self.calls.flatMap { call in
      [
        "\(call) USR2 Operation not permitted alive", "\(call) USR1 sent alive", "\(call) TERM sent 15",
        "\(call) KILL sent 15", "\(call) HUP sent 1",
      ]
    }
    #expect(try stage.wrapped(["children"]) == bound)
    let events = try stage.place.events([
      "--type", "signal_sent,signal_blocked,signal_absorbed,signal_redirected",
    ])
    func count(_ type: String, _ rule: String) -> Int {
      events.filter { event in
        event["type"] as? String == type && (event["policy"] as? [String: Any])?["rule"] as? String == rule
      }.count
    }
    #expect(count("signal_blocked", "no-usr2") == 6)
    #expect(count("signal_absorbed", "deaf") == 6)
    #expect(count("signal_redirected", "gently") == 6)
    #expect(count("signal_sent", "noted") == 6)
    #expect((events.first?["path"] as? String)?.hasPrefix("SIG") == true, "\(events.first ?? [:])")
  }

  @Test(arguments: Caller.allCases) func `of a group each process is decided`(caller: Caller) throws {
    let stage = try Stage(caller)
    let free = ["group USR2 sent 12 grandchild gone", "group TERM sent 15 grandchild gone"]
    #expect(try stage.bare(["group"]) == free)
    #expect(
      try stage.wrapped(["group"]) == ["group USR2 denied alive grandchild alive", free[1]])
    #expect(try stage.wrapped(["everybody", "28"]) == ["Operation not permitted"])
  }

  @Test(arguments: Caller.allCases) func `who is outside gets what a rule names, and nothing else`(
    caller: Caller
  ) throws {
    let stage = try Stage(caller)
    let program = stage.place.outside + "/victim-1"
    try stage.place.copy("/bin/sleep", to: program)
    func victim() throws -> Running { try stage.place.start([program, "60"]) }
    func pid() throws -> String {
      var found: [Int32] = []
      #expect(
        eventually {
          found = stage.place.processes(named: "victim-1").map(\.pid)
          return found.count == 1
        })
      return String(try #require(found.first))
    }
    let first = try victim()
    #expect(try stage.bare(["at", pid(), "15"]) == ["kill sent"])
    #expect(first.finish(timeout: .seconds(5)).status == 128 + 15)
    let second = try victim()
    #expect(
      try stage.wrapped(["at", pid(), "15"]) == Self.calls.map { "\($0) Operation not permitted" })
    #expect(stage.place.processes(named: "victim-1").count == 1)
    #expect(try stage.wrapped(["at", pid(), "10"]) == ["kill sent"])
    #expect(second.finish(timeout: .seconds(5)).status == 128 + 10)
  }

  @Test(arguments: Caller.allCases) func `no rule reaches the supervisor`(caller: Caller) throws {
    let stage = try Stage(caller)
    // The agent's parent is the supervisor; the rule for parents allows everything.
    #expect(try stage.wrapped(["parent"]) == Self.calls.map { "\($0) Operation not permitted" })
    #expect(
      try stage.place.events(["--type", "signal_blocked"]).compactMap {
        ($0["policy"] as? [String: Any])?["rule"] as? String
      } == Self.calls.map { _ in "agentsh-floor" })
  }
}
