package import AgentshPolicy
package import Ptrace
import Landlock
import LinuxSystem
package import Seccomp
import CLinux
package import Synchronization

/// Decides and carries out the calls of one session. Shared by the receiver and the helpers: everything in it is
/// immutable or guards itself. Each kind of call is an extension in a file of its own, which says how it closes the
/// race between check and use.
package final class Mediator: Sendable {
  package let policy: CompiledPolicy
  package let frame: Frame
  package let recorder: Recorder
  package let processes: ProcessTable
  let objects = ObjectTable()
  package let helpers: HelperPool
  package let approvals: Approvals
  /// The verdict of every command, where it is the same for all.
  let uniformCommand: Decision?
  /// Whether no rule, default or mechanism of ours can refuse an open for reading (OpenReads.swift). Where the caller's
  /// names are not ours, or Landlock does not stand between it and processes outside, each is carried out.
  let everyReadIsPermitted: Bool
  /// Whether a call that was received waits for its answer whatever signal comes (WAIT_KILLABLE_RECV).
  let receivedCallsHold = Atomic<Bool>(true)
  /// Closed while a thread traces (exec verification).
  package let gate = TraceGate()
  /// Execs whose images may run already and have not been compared yet (ExecTraced): nobody is answered before.
  let tracedExecs = Atomic<Int>(0)
  /// Present in ptrace mode.
  let tracer: Tracer?
  /// Set once a process of a root session has changed its uid, gid or groups, or where it may have a user namespace of its
  /// own: from then on each caller's are read.
  package let identitiesVary: Atomic<Bool>
  /// `permit: [user_namespaces]`
  let permitsUserNamespaces: Bool
  /// Set once a process has called chroot: from then on each caller's root is looked at.
  let rootsVary = Atomic<Bool>(false)
  /// Set once a process may be in another mount namespace than ours: from then on names are those that ours has.
  let mountsVary = Atomic<Bool>(false)
  /// Set once descriptors may be shared by more than the threads of one process.
  let filesAreShared = Atomic<Bool>(false)
  /// Set once the tree has made a FIFO: from then on what a name is is looked at before it is opened.
  package let fifosMade = Atomic<Bool>(false)
  let trash: Trash

  package init(
    policy: CompiledPolicy, frame: Frame, recorder: Recorder, processes: ProcessTable, helpers: HelperPool,
    tracer: Tracer? = nil, approvals: Approvals? = nil, session: String = ""
  ) {
    self.policy = policy
    permitsUserNamespaces = policy.rules.permissions.contains(.userNamespaces)
    identitiesVary = Atomic(permitsUserNamespaces)
    uniformCommand = policy.commandIsUniform
    everyReadIsPermitted =
      !permitsUserNamespaces && Ruleset.kernelABI() > 0 && policy.permitsEvery(.open)
    self.frame = frame
    self.recorder = recorder
    self.processes = processes
    self.helpers = helpers
    self.tracer = tracer
    trash = Trash(places: policy.rules.main.trash, session: session, owner: frame.ownerUID)
    // Without any nobody can be asked.
    self.approvals = approvals ?? Approvals(listener: -1, helpers: helpers, limit: 0, seconds: 0) {}
  }

  /// Answers one call. Total: what no handler knows is denied by the notification's end.
  package func handle(_ notification: consuming PendingNotification, _ scratch: inout Scratch) {
    let started = monotonicClock()
    frame.mounts.tell(&scratch)
    if scratch.question != nil { scratch.question = nil }
    if tracedExecs.load(ordering: .acquiring) != 0 {
      guard scratch.mayBlock else { return handOver(notification) }
      while tracedExecs.load(ordering: .acquiring) != 0 { pause(milliseconds: 1) }
    }
    if !scratch.mayBlock, namesAreElsewhere(for: notification.thread) { return handOver(notification) }
    switch Int(notification.call) {
    case Int(SYS_open), Int(SYS_openat), Int(SYS_openat2), Int(SYS_creat):
      open(notification, &scratch, started)
    case Int(SYS_unlink), Int(SYS_unlinkat), Int(SYS_rmdir):
      unlink(notification, &scratch, started)
    case Int(SYS_mkdir), Int(SYS_mkdirat), Int(SYS_mknod), Int(SYS_mknodat), Int(SYS_symlink),
      Int(SYS_symlinkat):
      make(notification, &scratch, started)
    case Int(SYS_rename), Int(SYS_renameat), Int(SYS_renameat2):
      rename(notification, &scratch, started)
    case Int(SYS_link), Int(SYS_linkat):
      link(notification, &scratch, started)
    case Int(SYS_truncate):
      truncate(notification, &scratch, started)
    case Int(SYS_ftruncate):
      truncateOpen(notification, &scratch, started)
    case Int(SYS_chmod), Int(SYS_fchmod), Int(SYS_fchmodat), Int(X86Call.fchmodat2.rawValue), Int(SYS_chown),
      Int(SYS_lchown), Int(SYS_fchown), Int(SYS_fchownat), Int(SYS_utime), Int(SYS_utimes),
      Int(SYS_futimesat),
      Int(SYS_utimensat), Int(SYS_setxattr), Int(SYS_lsetxattr), Int(SYS_fsetxattr),
      Int(X86Call.setxattrat.rawValue), Int(SYS_removexattr), Int(SYS_lremovexattr), Int(SYS_fremovexattr),
      Int(X86Call.removexattrat.rawValue):
      setAttributes(notification, &scratch, started)
    case Int(SYS_stat), Int(SYS_lstat), Int(SYS_fstat), Int(SYS_newfstatat), Int(SYS_statx), Int(SYS_statfs),
      Int(SYS_access), Int(SYS_faccessat), Int(X86Call.faccessat2.rawValue), Int(SYS_readlink),
      Int(SYS_readlinkat), Int(SYS_getxattr), Int(SYS_lgetxattr), Int(SYS_listxattr), Int(SYS_llistxattr),
      Int(SYS_inotify_add_watch):
      look(notification, &scratch, started)
    case Int(SYS_getdents), Int(SYS_getdents64):
      listDirectory(notification, &scratch, started)
    case Int(SYS_execve), Int(SYS_execveat):
      execute(notification, &scratch, started)
    case Int(SYS_connect), Int(SYS_bind), Int(SYS_sendto), Int(SYS_sendmsg), Int(SYS_sendmmsg):
      socketCall(notification, &scratch, started)
    case Int(SYS_setuid), Int(SYS_setgid), Int(SYS_setreuid), Int(SYS_setregid), Int(SYS_setresuid),
      Int(SYS_setresgid), Int(SYS_setfsuid), Int(SYS_setfsgid), Int(SYS_setgroups):
      changeIdentity(notification)
    case Int(SYS_chroot): changeRoot(notification)
    case Int(SYS_clone), Int(SYS_unshare): part(notification)
    case Int(SYS_mount), Int(SYS_umount2), Int(SYS_pivot_root): mountCall(notification, &scratch)
    case Int(SYS_kill), Int(SYS_tkill), Int(SYS_tgkill), Int(SYS_rt_sigqueueinfo), Int(SYS_rt_tgsigqueueinfo),
      Int(SYS_pidfd_send_signal):
      signalCall(notification, &scratch, started)
    default:
      if let kind = ObjectTable.Kind(call: Int(notification.call)) {
        objectCall(notification, kind, &scratch, started)
      } else {
        processCall(notification, &scratch, started)
      }
    }
  }

  /// Moves the call to a helper, which handles it from the start: reads the arguments again and decides again.
  /// What the call keeps goes with it, for closing may wait.
  package func handOver(_ notification: consuming PendingNotification) {
    helpers.submit(notification)
  }
}
