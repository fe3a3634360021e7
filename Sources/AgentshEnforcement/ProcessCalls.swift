import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// Calls that name another process (DECISIONS 11): its limits, its scheduling, its memory's place. Landlock does not
// scope them, so a process in the tree could starve the supervisor (RLIMIT_NOFILE 0). They are let through for members
// of the tree only.
//
// The race: the target is a number in a register and cannot change, so the call goes on. The number may be given to
// another process between check and use; whoever wants that has to end a member and have all other numbers used up in
// that moment, and reaches by it one call, as the owner, on a process that is not the supervisor (whose number is taken).
// A pidfd's number can be given another pidfd by a second thread: those calls need a process with one thread.

extension Mediator {
  func processCall(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64)
  {
    let permitted = mayName(notification)
    let decision = Decision(
      permitted ? .allow : .deny, .command, default: permitted ? .mechanism : .unresolved)
    // A number that nobody has is told of as the kernel tells it; it denies nothing.
    if !permitted, namesNobody(notification) {
      notification.fail(ESRCH)
      return
    }
    let outcome = Recorder.Outcome(
      .process, notification, operation: 0, decision: decision, errno: permitted ? 0 : EPERM, started: started
    )
    let object = permitted ? "" : "\(notification.int(0)),\(notification.int(1))"
    if permitted {
      notification.passThrough()
    } else {
      notification.fail(EPERM)
      recorder.record(outcome, rawPath: object, path: object, argv: [])
    }
  }

  private func namesNobody(_ n: borrowing PendingNotification) -> Bool {
    let number: Int32 =
      switch Int(n.call) {
      case Int(SYS_prlimit64), Int(SYS_sched_setaffinity), Int(SYS_sched_setscheduler),
        Int(SYS_sched_setparam), Int(SYS_sched_setattr), Int(SYS_move_pages), Int(SYS_migrate_pages),
        Int(SYS_process_vm_readv):
        n.int(0)
      case Int(SYS_ptrace): n.arguments[0] == 0 ? 0 : n.int(1)
      default: 0
      }
    return number > 0 && sendSignal(toPid: number, 0) == -Int(ESRCH)
  }

  private func mayName(_ n: borrowing PendingNotification) -> Bool {
    switch Int(n.call) {
    case Int(SYS_prlimit64), Int(SYS_sched_setaffinity), Int(SYS_sched_setscheduler), Int(SYS_sched_setparam),
      Int(SYS_sched_setattr), Int(SYS_move_pages), Int(SYS_migrate_pages):
      return isSelfOrMember(n, n.int(0))
    case Int(SYS_setpriority):
      return mayName(n, kind: n.int(0), number: n.int(1), process: 0, group: 1)
    case Int(SYS_ioprio_set):
      return mayName(n, kind: n.int(0), number: n.int(1), process: 1, group: 2)
    case Int(SYS_process_madvise), Int(SYS_process_mrelease):
      return mayUse(n, pidfd: n.int(0))
    case Int(SYS_process_vm_readv): return isSelfOrMember(n, n.int(0))
    case Int(SYS_ptrace): return mayTrace(n)
    default: return false
    }
  }

  /// `process` and `group` are the words of the call for one process and for a process group; a user's processes are
  /// the supervisor's too.
  private func mayName(
    _ n: borrowing PendingNotification, kind: Int32, number: Int32, process: Int32, group: Int32
  ) -> Bool {
    if kind == process { return isSelfOrMember(n, number) }
    guard kind == group else { return false }
    let caller = rawCall(Int(SYS_getpgid), Int(n.thread))
    let named = number == 0 ? caller : Int(number)
    // The own group, unless we are in it (a supervisor that continues the client shares the shell's job).
    return named > 0 && named == caller && rawCall(Int(SYS_getpgid), 0) != named
  }

  /// Who asks to be traced is traced by its parent; when that ends in this moment, by the supervisor, which leaves it
  /// stopped.
  private func mayTrace(_ n: borrowing PendingNotification) -> Bool {
    let isTraceMe = n.arguments[0] == 0
    guard isTraceMe else { return isSelfOrMember(n, n.int(1)) }
    guard let parent = ThreadStatus(reading: n.thread)?.parent else { return false }
    return processes.isMember(parent, reaper: frame.ownPid)
  }

  private func isSelfOrMember(_ n: borrowing PendingNotification, _ number: Int32) -> Bool {
    number == 0 || numbersItself(n.thread) || number == n.thread
      || processes.isMember(number, reaper: frame.ownPid)
  }

  private func mayUse(_ n: borrowing PendingNotification, pidfd: Int32) -> Bool {
    guard let status = ThreadStatus(reading: n.thread), status.threads == 1,
      let target = pidfdProcess(pidfd, of: n.thread)
    else { return false }
    return processes.isMember(target, reaper: frame.ownPid)
  }
}
