import CLinux

extension SyscallTable {
  /// Calls that take a path and open or change something: the supervisor carries them out.
  static func files(_ features: FilterFeatures) -> [SyscallRule] {
    let action: FilterAction = features.contains(.files) ? .notify : .allow
    let byPath: [X86Call] = [
      .open, .openat, .openat2, .creat, .unlink, .unlinkat, .rmdir, .rename, .renameat, .renameat2, .mkdir,
      .mkdirat,
      .link, .linkat, .symlink, .symlinkat, .mknod, .mknodat, .truncate, .chmod, .fchmodat, .fchmodat2,
      .chown,
      .lchown, .fchownat, .utime, .utimes, .setxattr, .lsetxattr, .setxattrat, .removexattr, .lremovexattr,
      .removexattrat, .utimensat, .futimesat,
    ]
    let byDescriptor: [X86Call] = [.fchmod, .fchown, .fsetxattr, .fremovexattr]
    return each(byPath, action, why: "takes a path: carried out by the supervisor")
      + each(byDescriptor, action, why: "a descriptor for reading is enough for them")
  }

  /// Calls that only look: notified where a rule can deny them, and free otherwise.
  static func looks(_ features: FilterFeatures) -> [SyscallRule] {
    func when(_ feature: FilterFeatures) -> FilterAction { features.contains(feature) ? .notify : .allow }
    // Newer than the calls that they stand beside, so that callers know how to do without.
    let newer: FilterAction = features.contains(.stat) ? .refuse(UInt16(ENOSYS)) : .allow
    return each(
      [
        .stat, .lstat, .fstat, .newfstatat, .statx, .statfs, .getxattr, .lgetxattr, .listxattr, .llistxattr,
        .inotify_add_watch,
      ], when(.stat), why: "tells of a name")
      + each([.getxattrat, .listxattrat, .file_getattr], newer, why: "tells of a name")
      + each([.access, .faccessat, .faccessat2], when(.access), why: "tells of a name")
      + each([.readlink, .readlinkat], when(.readlink), why: "tells where a link leads")
      + each(
        [.getdents, .getdents64], features.isDisjoint(with: [.list, .stat]) ? .allow : .notify,
        why: "tells names")
      + each([.ftruncate], when(.truncate), why: "writing, unless a rule tells the two apart")
  }

  static func commands(_ features: FilterFeatures) -> [SyscallRule] {
    each(
      [.execve, .execveat], features.contains(.commands) ? .notify : .allow,
      why: "every command is decided, its interpreter too")
  }

  static func identities(_ features: FilterFeatures) -> [SyscallRule] {
    each(
      [.setuid, .setgid, .setreuid, .setregid, .setresuid, .setresgid, .setfsuid, .setfsgid, .setgroups],
      features.contains(.identities) ? .notify : .allow,
      why: "the kernel's own rules hold; in root's sessions the supervisor wants to know")
  }

  /// Calls that name a process: self passes, others only with the supervisor's word. Landlock does not scope them.
  static func processes(_ features: FilterFeatures) -> [SyscallRule] {
    let action: FilterAction = features.contains(.processes) ? .notify : .refuse(UInt16(EPERM))
    let why: StaticString = "outside the tree it could starve the supervisor"
    let byPid: [X86Call] = [
      .prlimit64, .sched_setaffinity, .sched_setscheduler, .sched_setparam, .sched_setattr, .move_pages,
      .migrate_pages,
    ]
    // PRIO_PROCESS is 0, IOPRIO_WHO_PROCESS is 1; groups and users reach beyond the tree even when they are 0.
    let byKind: [(X86Call, UInt32)] = [(.setpriority, 0), (.ioprio_set, 1)]
    let byHandle: [X86Call] = [.process_madvise, .process_mrelease]
    return byPid.map { SyscallRule($0, [.init(.allow, when: .isOne(0, of: [0]))], action, why: why) }
      + byKind.map { call, own in
        SyscallRule(
          call, [.init(.allow, when: .isOne(0, of: [own]), .isOne(1, of: [0]))], action, why: why)
      }
      + each(byHandle, action, why: why)
      + [
        SyscallRule(
          .get_robust_list, [.init(.allow, when: .isOne(0, of: [0]))], .refuse(UInt16(EPERM)),
          why: "shows addresses of another process")
      ]
  }

  /// Another process's memory: the tree's own, where the policy permits it. Landlock's domain keeps the rest out.
  static func memory(_ features: FilterFeatures) -> [SyscallRule] {
    let permitted = features.contains(.ptrace)
    let action: FilterAction = permitted ? .notify : .refuse(UInt16(EPERM))
    let why: StaticString = "another process's memory"
    // TRACEME, ATTACH and SEIZE say who is to be traced; the others are for one's tracees.
    let begins = SyscallRule.Case(.notify, when: .isOne(0, of: [0, 16, 0x4206]))
    return [SyscallRule(.ptrace, permitted ? [begins] : [], permitted ? .allow : action, why: why)]
      + each([.process_vm_readv], action, why: why)
  }

  /// What gives paths another meaning.
  static func mounts(_ features: FilterFeatures) -> [SyscallRule] {
    let permitted = features.contains(.userNamespaces)
    let refused = FilterAction.refuse(UInt16(EPERM))
    // Callers that know the old calls as well fall back to them.
    let newer = permitted ? FilterAction.refuse(UInt16(ENOSYS)) : refused
    return each(
      [.mount, .umount2, .pivot_root, .chroot], permitted ? .notify : refused,
      why: "paths mean other objects afterwards")
      + each(
        [
          .open_tree, .open_tree_attr, .move_mount, .fsopen, .fsconfig, .fsmount, .fspick, .mount_setattr,
        ], newer, why: "the same, for descriptors")
      + each(
        [.sethostname, .setdomainname], permitted ? .allow : refused,
        why: "the kernel's own rules hold, in namespaces of one's own")
  }

  /// System V's objects: a user's, not a session's. Commands that only look at the machine's lists pass: IPC_INFO,
  /// SHM_STAT and their like.
  static func objects(_ features: FilterFeatures) -> [SyscallRule] {
    let action: FilterAction = features.contains(.processes) ? .notify : .refuse(UInt16(ENOSYS))
    let why: StaticString = "whoever has its number reads, changes and removes it: the tree's own only"
    func control(_ call: X86Call, _ command: Int, _ looking: [UInt32]) -> SyscallRule {
      SyscallRule(call, [.init(.allow, when: .isOne(command, of: looking))], action, why: why)
    }
    return each(
      [.shmget, .shmat, .semget, .semop, .semtimedop, .msgget, .msgsnd, .msgrcv], action, why: why)
      + [
        control(.shmctl, 1, [3, 13, 14, 15]), control(.semctl, 2, [3, 18, 19, 20]),
        control(.msgctl, 1, [3, 11, 12, 13]),
      ]
  }

  /// Calls that send signals: free where Landlock scopes signals, the supervisor's business where it does not.
  static func signals(_ features: FilterFeatures) -> [SyscallRule] {
    each(
      [.kill, .tkill, .tgkill, .rt_sigqueueinfo, .rt_tgsigqueueinfo, .pidfd_send_signal],
      features.contains(.signals) ? .notify : .allow,
      why: "inside the tree only: Landlock's scope, or the supervisor")
  }
}
