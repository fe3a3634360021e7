import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Ptrace
import Seccomp
import Synchronization

// execve, execveat.
//
// An exec cannot be carried out for another: the caller's own thread must make it, and the kernel reads path and
// arguments once more when it does. The race is closed in one of two ways:
//
// - Where every command gets the same verdict, whatever its name and arguments, nothing rests on what is read here, and
//   the call goes on. (The record shows what was read; who rewrites it lies to the record about a thing it may do.)
// - Everything else is verified: the thread is seized before the call goes on, and at the exec stop, before the new
//   image has run one instruction, its file (device and inode of /proc/PID/exe) and its arguments are compared with
//   what was allowed. A difference kills the process, then the tree. What cannot be seized is denied, unless a process of
//   the tree may trace it (ExecTraced).
//
// One stop tells both ends: an interrupt is requested right after the call goes on. A successful exec stops for
// PTRACE_EVENT_EXEC first, and a failed one stops on its way back to the program. Nobody stays traced.

extension Mediator {
  func execute(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let uniform = uniformCommand?.permits == true
    // Verification waits for the caller; the receiver does not.
    guard uniform || scratch.mayBlock else {
      handOver(notification)
      return
    }
    switch prepare(notification, &scratch) {
    case .mustWait: handOver(notification)
    case .failed(let errno): notification.fail(errno)
    case .refused(let errno, let canonical, let reason):
      let outcome = outcome(notification, Decision(.deny, .command, default: .unresolved), errno, started)
      let raw = scratch.raw.text
      notification.fail(errno)
      recorder.record(outcome, rawPath: raw, path: canonical, argv: [], reason: reason)
    case .ready(var exec):
      exec.decision = settle(exec, &scratch)
      guard notification.isAlive() else {
        notification.fail(EINTR)
        return
      }
      guard exec.decision.permits else {
        if scratch.holds(exec.decision) {
          hold(notification, scratch)
          return
        }
        let outcome = outcome(notification, exec.decision, EACCES, started)
        notification.fail(EACCES)
        record(outcome, exec)
        return
      }
      if uniform {
        goOn(notification, exec, started)
      } else {
        verify(notification, exec, started)
      }
    }
  }

  private func outcome(
    _ n: borrowing PendingNotification, _ decision: Decision, _ errno: Int32, _ started: UInt64
  ) -> Recorder.Outcome {
    Recorder.Outcome(
      .exec, n, operation: FileOperation.execute.rawValue, decision: decision, errno: errno, started: started)
  }

  func record(_ outcome: Recorder.Outcome, _ exec: borrowing PreparedExec) {
    recorder.record(outcome, rawPath: exec.raw, path: exec.canonical, argv: exec.arguments.recorded)
  }

  private func goOn(_ n: consuming PendingNotification, _ exec: borrowing PreparedExec, _ started: UInt64) {
    let outcome = outcome(n, exec.decision, 0, started)
    let thread = n.thread
    if let entry = exec.entry { processes.markStarted(entry.process) }
    n.passThrough()
    record(outcome, exec)
    become(thread, exec)
  }

  func forget(_ thread: Int32, _ exec: borrowing PreparedExec) {
    processes.forget(thread)
    if let entry = exec.entry { processes.forget(entry.process) }
  }

  func become(_ thread: Int32, _ exec: borrowing PreparedExec) {
    guard let entry = exec.entry else { return processes.forget(thread) }
    processes.becomes(exec.raw.isEmpty ? exec.canonical : exec.raw, entry, thread: thread)
  }

  // MARK: - Verified

  private func verify(_ n: consuming PendingNotification, _ exec: borrowing PreparedExec, _ started: UInt64) {
    var outcome = outcome(n, exec.decision, 0, started)
    let thread = n.thread
    guard let entry = exec.entry else {
      n.fail(EACCES)
      return
    }
    if let tracer {
      verify(n, exec, entry, tracer, &outcome)
      return
    }
    gate.enter()
    defer { gate.leave() }
    var tracee: Tracee
    do throws(SystemCallError) {
      tracee = try Tracee(seizing: thread, of: entry.process)
    } catch {
      verifyTraced(n, exec, entry, &outcome)
      return
    }
    // Before the answer: what has been received waits for nothing but its answer and death, so this does not disturb
    // it, and a failed exec stops before its program runs on. Before Linux 5.19 it does disturb: then afterwards.
    let undisturbed = receivedCallsHold.load(ordering: .relaxed)
    if undisturbed { tracee.requestStop() }
    // Seized by its number: still the caller? If not, the stop that follows lets whoever it is go.
    let alive = n.isAlive()
    var answered = false
    if alive {
      processes.markStarted(entry.process)
      answered = n.passThrough()
    } else {
      n.fail(EINTR)
    }
    if !undisturbed { tracee.requestStop() }
    while true {
      switch tracee.wait() {
      case .signal(let signal): tracee.resume(delivering: signal)
      case .interrupted:
        outcome.errno = failure(tracee.callResult())
        if !tracee.release() {
          leave(tracee, thread, entry.process)
          forget(thread, exec)
          return
        }
        // Below zero: the call was interrupted before it began and comes again.
        if outcome.errno < 0, !answered { receivedCallsHold.store(false, ordering: .relaxed) }
        if alive, outcome.errno > 0 { record(outcome, exec) }
        return
      case .exec(let process):
        finish(tracee, process, exec, &outcome)
        become(thread, exec)
        return
      case .gone:
        leave(tracee, thread, entry.process)
        forget(thread, exec)
        return
      }
    }
  }

  /// In ptrace mode the thread is traced already.
  private func verify(
    _ n: consuming PendingNotification, _ exec: borrowing PreparedExec, _ entry: ProcessTable.Entry,
    _ tracer: Tracer, _ outcome: inout Recorder.Outcome
  ) {
    let (id, thread) = (n.id, n.thread)
    tracer.watch(id)
    processes.markStarted(entry.process)
    guard n.passThrough() else {
      forget(thread, exec)
      return
    }
    switch tracer.end(of: id) {
    case .gone: forget(thread, exec)
    case .failed(let result):
      outcome.errno = failure(Int(result))
      tracer.release(thread)
      if outcome.errno > 0 { record(outcome, exec) }
    case .made(let process):
      let isExpected = isExpected(process, exec, &outcome)
      if isExpected {
        record(outcome, exec)
        become(thread, exec)
      }
      tracer.release(process)
      if !isExpected { endTree() }
    }
  }

  /// The errno of a failed call; -1 for one that the kernel makes again (ERESTARTSYS … ERESTART_RESTARTBLOCK), and 0
  /// when nothing failed.
  private func failure(_ result: Int?) -> Int32 {
    guard let result else { return EACCES }
    if (-516)...(-512) ~= result { return -1 }
    return (-4095)...(-1) ~= result ? Int32(-result) : 0
  }

  /// At the exec stop: the image is in place, nothing of it has run.
  private func finish(
    _ tracee: consuming Tracee, _ process: Int32, _ exec: borrowing PreparedExec,
    _ outcome: inout Recorder.Outcome
  ) {
    if isExpected(process, exec, &outcome) {
      if !tracee.release() { leave(tracee, process, process) }
      record(outcome, exec)
      return
    }
    leave(tracee, process, process)
    endTree()
  }

  /// Whether the process has become what was decided on. Else it is killed, and recorded is what it is.
  func isExpected(
    _ process: Int32, _ exec: borrowing PreparedExec, _ outcome: inout Recorder.Outcome
  ) -> Bool {
    var image = ExecImage(process, limit: exec.expected.bytes.count)
    if image.matches(exec) { return true }
    if mayBeForeign(process, image, exec) { return true }
    image.readName(of: process)
    sendSignal(toPid: process, SIGKILL)
    outcome.decision = Decision(.deny, .command, default: .unresolved)
    outcome.errno = EACCES
    outcome.thread = process
    recorder.record(outcome, rawPath: exec.canonical, path: image.name, argv: image.argumentList)
    recorder.lifecycle(
      "process \(process) was allowed to run \(exec.canonical) and changed the call: the session ends")
    return false
  }

  /// binfmt_misc: the kernel has started an interpreter that no line in the file names. It must be allowed for itself.
  private func mayBeForeign(
    _ process: Int32, _ image: ExecImage, _ exec: borrowing PreparedExec
  ) -> Bool {
    guard image.isWhole, hasRegisteredFormats() else { return false }
    let opened = ProcPath(process, "exe").open(flags: O_PATH | O_CLOEXEC)
    guard opened >= 0 else { return false }
    let started = FileDescriptor(owning: Int32(opened))
    var name = PathText()
    guard nameOfDescriptor(started.number, of: process, into: &name) == 0 else { return false }
    var decider = FileDecider(policy, limits: .few, mounts: frame.mounts.table)
    let request = CommandRequest(
      canonical: Array(name.bytes), called: Array(name.bytes), calledNameCounts: false,
      arguments: image.arguments.joined(from: 1), depth: exec.depth)
    return decider.decideCommand(request).permits
  }

  /// A dead tracee's status belongs to its parent. Where that is our own main thread, which does not reap while the
  /// gate is closed, this thread keeps out of its way until it is taken.
  func leave(_ tracee: consuming Tracee, _ thread: Int32, _ process: Int32) {
    let ours = thread == process && ThreadStatus(reading: process)?.parent == frame.ownPid
    guard ours else {
      tracee.bury()
      return
    }
    tracee.awaitEnd()
    gate.leave()
    defer { gate.enter() }
    while tracee.lingers() { pause(milliseconds: 2) }
  }

  func pause(milliseconds: Int) {
    let never = FutexWord()
    never.wait(while: 0, milliseconds: milliseconds)
  }

  /// SIGKILL for everybody, until nobody is left to fork another. Bounded: the main loop goes on with it, as the agent
  /// has ended.
  func endTree() {
    let tree = Tree(roots: [frame.ownPid, frame.target], own: frame.ownPid, group: frame.group)
    for _ in 0..<100 {
      if tree.signal(SIGKILL) { return }
      pause(milliseconds: 1)
    }
  }
}
