import Foundation
import Harness
import Testing

/// Each system call that the supervisor makes for a mediated operation fails in turn: the operation is denied or carried
/// out, never half, nothing that is denied is done, no descriptor is lost, and what comes next works, or the session has
/// ended. `Tests/fixtures/faults.c` fails the calls, by ptrace, so it needs root, also where the session is another user's.
@Suite(.serialized) struct FaultTests {
  @Test(arguments: Caller.allCases)
  func `the Nth call of the supervisor fails, for every N of every mediated operation`(caller: Caller) throws
  {
    let (place, base, faults) = try Self.world(as: caller)
    let policy = try place.policy(
      """
      file_rules:
        - {name: denied, paths: ["\(base)/denied", "\(base)/denied/**"], operations: ["*"], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: denied, commands: ["\(base)/denied/**"], decision: deny}
        - {name: rest, commands: ["*"], decision: allow}
      network_rules:
        - {name: denied, cidrs: [127.0.0.2/32], decision: deny}
        - {name: rest, domains: ["*"], decision: allow}
      unix_socket_rules:
        - {name: denied, paths: ["\(base)/denied/**"], decision: deny}
        - {name: rest, paths: ["/**"], decision: allow}
      signal_rules:
        - {name: denied, signals: [SIGUSR2], target: {type: children}, decision: deny}
        - {name: rest, signals: ["@all"], target: {type: descendants}, decision: allow}
      """)
    // Ptrace mode: what only it does is in each of these; a request that fails ends the session, which takes long.
    let traced = ["FAULTS_ONLY=open,open-create,open-fifo,unlink,execve,connect", "FAULTS_TWO_ERRNOS=1"]
    let words =
      ["/usr/bin/env"] + (Place.isTraced ? traced : []) + [
        faults, base, "\(caller.uid)", try Programs.agentsh(), "--root", place.workspace, "--policy", policy,
      ]
    let started = ContinuousClock.now
    let outcome = try place.runAsRoot(words, timeout: .seconds(Place.isTraced ? 260 : 120))
    #expect(outcome.succeeded, "\(outcome)")
    // Traced: whether the session ends with a program that was killed is waited for, a second each, a hundred times.
    #expect(ContinuousClock.now - started < .seconds(Place.isTraced ? 200 : 60))
    // Every operation had its turn, and calls were failed in it.
    let rounds = Self.rounds(outcome).map(\.count)
    #expect(rounds.count == (Place.isTraced ? 6 : 33), "\(outcome)")
    #expect(rounds.allSatisfy { $0 >= 10 }, "\(outcome)")
    print(outcome.output)
  }

  /// Where every read is permitted, the kernel opens what is read (ADR 51), after the supervisor has looked at it.
  @Test(arguments: Caller.allCases)
  func `the Nth call of the supervisor fails, for every N of a read that the kernel opens`(caller: Caller)
    throws
  {
    let (place, base, faults) = try Self.world(as: caller)
    let outcome = try place.runAsRoot(
      [
        "/usr/bin/env", "FAULTS_ONLY=open,open-dots", "FAULTS_ALLOWED=1", faults, base, "\(caller.uid)",
        try Programs.agentsh(), "--root", place.workspace, "--policy", place.allowAll,
      ], timeout: .seconds(Place.isTraced ? 120 : 60))
    #expect(outcome.succeeded, "\(outcome)")
    let rounds = Self.rounds(outcome)
    #expect(rounds.count == 2 && rounds.allSatisfy { $0.count >= 9 }, "\(outcome)")
    // Receive, read the path, look it up, what it is, close, answer: what is carried out takes more.
    if !Place.isTraced { #expect(rounds.allSatisfy { $0.longest <= 7 }, "\(outcome)") }
    print(outcome.output)
  }

  /// A deletion that is a move: it is made whole or not at all, and whatever is gone lies in the trash.
  @Test(arguments: Caller.allCases)
  func `the Nth call of the supervisor fails, for every N of a soft deletion`(caller: Caller) throws {
    let (place, base, faults) = try Self.world(as: caller)
    let policy = try place.policy(
      """
      file_rules:
        - {name: denied, paths: ["\(base)/denied", "\(base)/denied/**"], operations: ["*"], decision: deny}
        - {name: soft, paths: ["\(base)/allowed/**"], operations: [delete, rmdir], decision: soft_delete}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: rest, commands: ["*"], decision: allow}
      """)
    let outcome = try place.runAsRoot(
      [
        "/usr/bin/env", "FAULTS_ONLY=unlink,rmdir", "FAULTS_TWO_ERRNOS=1", faults, base, "\(caller.uid)",
        try Programs.agentsh(), "--root", place.workspace, "--policy", policy,
      ], timeout: .seconds(Place.isTraced ? 200 : 60))
    #expect(outcome.succeeded, "\(outcome)")
    let rounds = Self.rounds(outcome)
    #expect(rounds.count == 2 && rounds[0].count >= 40 && rounds[1].count >= 10, "\(outcome)")
    // Each that was carried out, and two without a fault, lie there; in the way of none is what was left of another.
    let carried = outcome.output.split(separator: "\n").first?.split(separator: " ")
    let count = try #require(carried.flatMap { words in words.count > 9 ? Int(words[9]) : nil })
    let listed = try place.agentsh(["trash", "list"]).output.split(separator: "\n").count - 1
    #expect(listed >= count + 2, "\(listed) of \(count)")
    print(outcome.output)
  }

  /// Where the operations are made, and the program that makes them and fails the supervisor's calls.
  private static func world(as caller: Caller) throws -> (place: Place, base: String, faults: String) {
    let place = try Place(as: caller)
    return (place, place.outside, try place.install("faults", at: place.outside + "/faults"))
  }

  /// Of each operation how many calls were failed, and the highest N.
  private static func rounds(_ outcome: Outcome) -> [(count: Int, longest: Int)] {
    outcome.output.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count > 5, words[2] == "rounds,", words[0] != "all:", let count = Int(words[1]),
        let longest = Int(words[5])
      else { return nil }
      return (count, longest)
    }
  }
}
