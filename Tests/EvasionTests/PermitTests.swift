import Foundation
import Harness
import Testing

/// `permit: [ptrace]`: tracers and debuggers work inside, and what they trace is held to the same rules.
@Suite(.serialized) struct PermitTests {
  /// As the sandbox's, with the permission; nil in ptrace mode, which cannot give it.
  private func permitting(_ box: Sandbox) throws -> String? {
    let policy = try box.policy(with: "permit: [ptrace]", name: "permit")
    guard Place.isTraced else { return policy }
    let refused = try box.place.wrap(["true"], policy: policy)
    #expect(refused.status == 125 && refused.errors.contains("the policy permits ptrace"), "\(refused)")
    return nil
  }

  @Test(arguments: Caller.allCases) func `strace and gdb work`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    guard let policy = try permitting(box) else { return }
    let log = box.place.workspace + "/log"
    let script = "cat /etc/hostname; '\(box.forbidden)'; no-such-program; exec true"
    let without = try box.inside(["strace", "-f", "-o", log, "sh", "-c", script])
    #expect(without.errors.contains("Operation not permitted"), "\(without)")
    let traced = try box.place.wrap(["strace", "-f", "-o", log, "sh", "-c", script], policy: policy)
    #expect(traced.status == 0 && !traced.output.isEmpty && !traced.output.contains("reached"), "\(traced)")
    let calls = box.place.read(log) ?? ""
    #expect(calls.contains("execve(\"/usr/bin/cat\"") || calls.contains("execve(\"/bin/cat\""), "\(calls)")
    #expect(
      calls.split(separator: "\n").contains { $0.contains(box.forbidden) && $0.contains("= -1 EACCES") })
    #expect(try box.place.denials().contains("forbidden \(box.forbidden)"))

    let program = box.place.outside + "/open/debugged"
    try box.place.install("threads", at: program)
    let commands = ["-batch", "-nx", "-ex", "break main", "-ex", "run", "-ex", "bt", "-ex", "kill"]
    let debugged = try box.place.wrap(["gdb"] + commands + [program], policy: policy)
    #expect(debugged.output.contains("Breakpoint 1, "), "\(debugged)")
    let denied = try box.place.wrap(["gdb"] + commands + [box.forbidden], policy: policy)
    #expect(!denied.output.contains("Breakpoint 1, ") && !denied.output.contains("reached"), "\(denied)")
  }

  @Test(arguments: Caller.allCases) func `one that runs already is traced, if it is of the tree`(
    caller: Caller
  )
    throws
  {
    let box = try Sandbox(as: caller)
    guard let policy = try permitting(box) else { return }
    let log = box.place.workspace + "/log"
    let script = "sleep 1 & strace -o '\(log)' -p $!; tail -n 1 '\(log)'"
    let attached = try box.place.wrap(["sh", "-c", script], policy: policy)
    #expect(attached.output.contains("exited with 0"), "\(attached)")
    for trick in TricksTests.watching {
      let sleeper = try box.place.start(["/usr/bin/sleep", "60"])
      #expect(eventually { box.place.processes(named: "sleep").contains { $0.pid == sleeper.pid } })
      let outside = try box.place.wrap([box.tricks, trick, String(sleeper.pid)], policy: policy)
      box.note("processes outside, with ptrace permitted", trick, outside)
      #expect(!outside.reached && !outside.timedOut && !sleeper.hasEnded, "\(trick): \(outside)")
      sleeper.signal(SIGKILL)
      let above = try box.place.wrap(
        ["sh", "-c", "'\(box.tricks)' \(trick) $PPID; cat /etc/hostname >/dev/null && echo and working"],
        policy: policy)
      box.note("the supervisor, with ptrace permitted", trick, above)
      #expect(!above.output.contains("reached") && above.output.contains("and working"), "\(trick): \(above)")
    }
    // The first process's parent is the supervisor, or a client outside: neither becomes its tracer.
    let first = try box.place.wrap([box.tricks, "traceme"], policy: policy)
    #expect(!first.reached, "\(first)")
  }

  @Test(arguments: Caller.allCases, ["traceme", "seize"])
  func `what is executed under a tracer, rewritten`(caller: Caller, tracer: String) throws {
    let box = try Sandbox(as: caller)
    guard let policy = try permitting(box) else { return }
    let mark = box.place.outside + "/open/mark"
    let harmless = box.place.outside + "/harmless1"
    try box.place.copy("/bin/true", to: harmless)
    box.place.environment["AGENTSH_MARK"] = mark
    box.place.environment["AGENTSH_TRACER"] = tracer
    for way in ["exec-thread", "exec-vm", "exec-shared"] {
      let words = [box.race, way, harmless, padded(box.forbidden, to: harmless.utf8.count)]
      // Where others run beside it a second may not do.
      var bare: [Outcome] = []
      while box.place.read(mark) == nil, bare.count < 10 { bare.append(try box.bare(words + ["1"])) }
      try #require((box.place.read(mark) ?? "").count > 0, "\(way): \(bare)")
      try FileManager.default.removeItem(atPath: mark)
      let end = ContinuousClock.now + .seconds(3)
      var outcomes: [Outcome] = []
      while ContinuousClock.now < end || outcomes.isEmpty {
        outcomes.append(try box.place.wrap(words + ["3"], policy: policy))
      }
      #expect(box.place.read(mark) == nil, "\(way): \(outcomes)")
      #expect(outcomes.contains { $0.count("allowed") > 0 || $0.status > 128 }, "\(way): \(outcomes)")
      box.note("what is executed under a tracer", "\(way), \(tracer)", outcomes[0])
    }
  }
}
