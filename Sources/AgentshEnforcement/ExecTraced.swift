import AgentshPolicy
import CLinux
import LinuxSystem
import Ptrace
import Seccomp
import Synchronization

// An exec whose caller is traced by a process of the tree (`permit: [ptrace]`: strace, gdb).
//
// Nobody is traced by two, so the exec stop is the tracer's, and it is the tracer that is held: its thread is seized and
// stopped, or asleep in a call that ends in that stop (a vfork that waits for this very exec), before the exec goes on. It is
// let go when the new image has been compared. Meanwhile nobody changes the caller's memory by tracing it, or lets it run on
// from the stop that tracers ask for at an exec.
//
// Who shares the caller's memory or changes links and files may still win the race to the kernel's second look. The image that
// this gets in is found out as any other, and its tree killed; where its tracer has asked for no stop at an exec, it may run
// for a millisecond until then. No call of the session is answered in that time, so it does nothing that is asked about; what
// it writes into a descriptor that it was given, is written.

extension Mediator {
  /// After the caller could not be seized.
  func verifyTraced(
    _ n: consuming PendingNotification, _ exec: borrowing PreparedExec, _ entry: ProcessTable.Entry,
    _ outcome: inout Recorder.Outcome
  ) {
    let thread = n.thread
    guard policy.rules.permissions.contains(.ptrace), let tracer = ThreadStatus(reading: thread)?.tracer,
      tracer > 0,
      processes.isMember(tracer, reaper: frame.ownPid), let owner = ThreadStatus(reading: tracer)?.process,
      let before = MemoryPlace(of: thread, then: entry.process)
    else { return refuse(n, exec, &outcome, "it cannot be traced, so its image could not be verified") }
    var holder: Tracee
    do throws(SystemCallError) { holder = try Tracee(seizing: tracer, of: owner) } catch {
      return refuse(n, exec, &outcome, "its tracer cannot be held, so its image could not be verified")
    }
    holder.requestStop()
    if isHeld(tracer), n.isAlive() {
      processes.markStarted(entry.process)
      tracedExecs.add(1, ordering: .sequentiallyConsistent)
      n.passThrough()
      conclude(awaitExec(thread, entry.process, before), thread, entry.process, exec, &outcome)
      tracedExecs.subtract(1, ordering: .sequentiallyConsistent)
    } else {
      refuse(n, exec, &outcome, "its tracer did not stop")
    }
    letGo(holder, tracer, owner)
  }

  private func refuse(
    _ n: consuming PendingNotification, _ exec: borrowing PreparedExec, _ outcome: inout Recorder.Outcome,
    _ reason: String
  ) {
    outcome.decision = Decision(.deny, .command, default: .unresolved)
    outcome.errno = EACCES
    n.fail(EACCES)
    recorder.record(
      outcome, rawPath: exec.raw, path: exec.canonical, argv: exec.arguments.recorded, reason: reason)
  }

  private func conclude(
    _ end: TracedExecEnd, _ thread: Int32, _ process: Int32, _ exec: borrowing PreparedExec,
    _ outcome: inout Recorder.Outcome
  ) {
    switch end {
    case .made:
      if isExpected(process, exec, &outcome) {
        record(outcome, exec)
        become(thread, exec)
      } else {
        endTree()
      }
    case .failed:
      recorder.record(
        outcome, rawPath: exec.raw, path: exec.canonical, argv: exec.arguments.recorded,
        reason: "allowed, and failed; its tracer knows the error")
    case .gone: forget(thread, exec)
    case .unclear:
      sendSignal(toPid: process, SIGKILL)
      recorder.lifecycle("process \(process) was killed: what became of its exec under a tracer is not known")
      forget(thread, exec)
    }
  }

  /// Until the thread can make no step of its program: stopped, or in a sleep that only its end or the kernel's business
  /// interrupts, with the stop behind it.
  private func isHeld(_ thread: Int32) -> Bool {
    for turn in 0..<Self.turns {
      guard let state = MemoryPlace.state(of: thread) else { return false }
      if state == UInt8(ascii: "t") || state == UInt8(ascii: "D") { return true }
      if turn > Self.eagerTurns { pause(milliseconds: 1) }
    }
    return false
  }

  /// Looks until the kernel is through with the exec. What is taken for a failure is one for sure: the program goes on.
  private func awaitExec(_ thread: Int32, _ process: Int32, _ before: MemoryPlace) -> TracedExecEnd {
    for turn in 0..<Self.turns {
      guard let now = MemoryPlace(of: thread, then: process) else {
        return sendSignal(toPid: process, 0) == -Int(ESRCH) ? .gone : .unclear
      }
      if now.isComplete, !now.isSame(before) { return .made }
      // Looked at once more behind it: by then the new image may stop, and make calls of its own.
      if now.isSame(before), MemoryPlace.state(of: thread) == UInt8(ascii: "t") || isInAnotherCall(thread),
        MemoryPlace(of: thread, then: process)?.isSame(before) == true
      {
        return .failed
      }
      if turn > Self.eagerTurns { pause(milliseconds: 1) }
    }
    return .unclear
  }

  /// Whether the thread sleeps in a call other than the exec that was let go on: another number, or a call of its that waits
  /// for us. `proc_pid_syscall(5)`, `proc_pid_wchan(5)`
  private func isInAnotherCall(_ thread: Int32) -> Bool {
    guard case .success(let bytes) = readAll("/proc/\(thread)/syscall", limit: 256),
      let number = Int(String(decoding: bytes.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self))
    else { return false }
    if number != Int(SYS_execve), number != Int(SYS_execveat) { return number >= 0 }
    guard case .success(let place) = readAll("/proc/\(thread)/wchan", limit: 256) else { return false }
    return place.starts(with: Array("seccomp_".utf8))
  }

  private func letGo(_ holder: consuming Tracee, _ thread: Int32, _ process: Int32) {
    while true {
      switch holder.wait() {
      case .signal(let signal): holder.resume(delivering: signal)
      case .interrupted:
        if !holder.release() { leave(holder, thread, process) }
        return
      case .exec(let now):
        // It was held, and an exec of its own would have had to be verified by us.
        sendSignal(toPid: now, SIGKILL)
        leave(holder, now, now)
        return
      case .gone:
        leave(holder, thread, process)
        return
      }
    }
  }

  /// Ten seconds, after some looks without a pause.
  private static var turns: Int { 10_000 + eagerTurns }
  private static var eagerTurns: Int { 50 }
}

private enum TracedExecEnd {
  case made, failed, gone, unclear
}

/// Where a process's program, arguments and environment lie: another image, another place. `proc_pid_stat(5)`
private struct MemoryPlace {
  /// startcode, startstack, arg_start, arg_end, env_start, env_end.
  private let addresses: [Int64]

  /// Of a thread, which an exec gives its process's number. nil: it is gone, or has no memory any more.
  init?(of thread: Int32, then process: Int32) {
    guard let place = Self(thread) ?? Self(process) else { return nil }
    self = place
  }

  private init?(_ thread: Int32) {
    guard let stat = try? ProcessStat(reading: thread), let state = stat.state,
      state != UInt8(ascii: "Z"), state != UInt8(ascii: "X")
    else { return nil }
    addresses = [26, 28, 48, 49, 50, 51].compactMap { stat.number($0) }
    guard addresses.count == 6 else { return nil }
  }

  /// The kernel sets the end of the environment last.
  var isComplete: Bool { addresses[5] != 0 }

  func isSame(_ other: MemoryPlace) -> Bool { addresses == other.addresses }

  /// The letter of a thread's state; nil when it is gone.
  static func state(of thread: Int32) -> UInt8? { (try? ProcessStat(reading: thread))?.state }
}
