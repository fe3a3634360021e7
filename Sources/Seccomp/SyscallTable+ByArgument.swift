import CLinux

extension SyscallTable {
  /// clone(2), namespaces that clone and unshare both know: mount, cgroup, uts, ipc, user, pid, net. CLONE_NEWTIME (0x80)
  /// is part of the exit signal in clone.
  private static let namespaces: UInt32 =
    mounts | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
  private static let mounts: UInt32 = 0x0002_0000  // CLONE_NEWNS
  private static let newTime: UInt32 = 0x80
  private static let thread: UInt32 = 0x0001_0000
  private static let sameParent: UInt32 = 0x8000  // CLONE_PARENT
  private static let untraced: UInt32 = 0x0080_0000  // CLONE_UNTRACED
  private static let sharedFiles: UInt32 = 0x400  // CLONE_FILES
  private static let sharedState: UInt32 = 0x200 | sharedFiles  // CLONE_FS

  /// Calls of which one argument decides.
  static func byArgument(_ features: FilterFeatures) -> [SyscallRule] {
    [
      clone(features), unshare(features), seccomp(features), prctl(features), personality, ioctl(features),
      fcntl(features),
    ]
  }

  private static func clone(_ features: FilterFeatures) -> SyscallRule {
    var refused = features.contains(.userNamespaces) ? 0 : namespaces
    if features.contains(.depths) { refused |= sameParent }
    if features.contains(.traced) { refused |= untraced }
    var cases: [SyscallRule.Case] = []
    if refused != 0 { cases.append(.init(.refuse(UInt16(EPERM)), when: .hasBit(0, of: refused))) }
    if features.contains(.uniformThreads) {
      cases.append(
        .init(
          .refuse(UInt16(EPERM)), when: .hasBit(0, of: thread),
          .isNone(0, of: [sharedState], mask: sharedState)))
    }
    if features.contains(.userNamespaces) {
      cases.append(.init(.notify, when: .hasBit(0, of: mounts)))
      cases.append(
        .init(.notify, when: .hasBit(0, of: sharedFiles), .isNone(0, of: [thread], mask: thread)))
    }
    return SyscallRule(
      .clone, cases, .allow, why: "new namespaces give names another meaning, and capabilities")
  }

  private static func unshare(_ features: FilterFeatures) -> SyscallRule {
    let state = features.contains(.uniformThreads) ? sharedState : 0
    let permitted = features.contains(.userNamespaces)
    let refused = permitted ? newTime | state : namespaces | newTime | state
    let cases = [SyscallRule.Case(.refuse(UInt16(EPERM)), when: .hasBit(0, of: refused))]
    return SyscallRule(
      .unshare, permitted ? cases + [.init(.notify, when: .hasBit(0, of: mounts))] : cases, .allow,
      why: "as clone")
  }

  private static func seccomp(_ features: FilterFeatures) -> SyscallRule {
    // SECCOMP_FILTER_FLAG_NEW_LISTENER: what it is asked about would not be traced.
    let listener = SyscallRule.Case(.refuse(UInt16(EBUSY)), when: .hasBit(1, of: 1 << 3))
    return SyscallRule(
      .seccomp, features.contains(.traced) ? [listener] : [], .allow,
      why: "narrowing itself further; a second listener is EBUSY")
  }

  private static func prctl(_ features: FilterFeatures) -> SyscallRule {
    var cases: [SyscallRule.Case] = [
      // PR_SET_DUMPABLE to 0 or 2: the supervisor could not read its memory any more; ssh-agent asks for it.
      .init(.refuse(0), when: .isOne(0, of: [4]), .isWide(1, 0, 2)),
      // PR_SCHED_CORE names other processes.
      .init(.refuse(UInt16(EINVAL)), when: .isOne(0, of: [62])),
    ]
    // PR_SET_CHILD_SUBREAPER: whoever adopts the orphans below it lifts them up to itself.
    if features.contains(.depths) { cases.append(.init(.refuse(UInt16(EPERM)), when: .isOne(0, of: [36]))) }
    // PR_SET_MM makes one memory look like another, by which a traced exec is told; and one program, with the capability
    // that a user namespace gives.
    if !features.isDisjoint(with: [.ptrace, .userNamespaces]) {
      cases.append(.init(.refuse(UInt16(EPERM)), when: .isOne(0, of: [35])))
    }
    return SyscallRule(.prctl, cases, .allow, why: "its own attributes")
  }

  private static let personality = SyscallRule(
    .personality, [.init(.allow, when: .isOne(0, of: [0, 0xffff_ffff]))], .refuse(UInt16(EPERM)),
    why: "the query and the default; READ_IMPLIES_EXEC and the like are not")

  /// They change a file through a descriptor for reading, as file_setattr does: FS_IOC_SETFLAGS (and 32), SETVERSION
  /// (and 32), FSSETXATTR, SET_ENCRYPTION_POLICY, ENABLE_VERITY, EXT4_IOC_SETVERSION. `ioctl_iflags(2)`
  private static let fileFlags: [UInt32] = [
    0x4008_6602, 0x4004_6602, 0x4008_7602, 0x4004_7602, 0x401c_5820, 0x800c_6613, 0x4080_6685, 0x4008_6604,
  ]

  private static func ioctl(_ features: FilterFeatures) -> SyscallRule {
    var refused: [UInt32] = [
      0x5412,  // TIOCSTI types on the terminal
      0x541c,  // TIOCLINUX pastes on a console
      0xaa00,  // USERFAULTFD_IOC_NEW on /dev/userfaultfd
    ]
    // FIOSETOWN and SIOCSPGRP have SIGIO sent to anybody.
    if features.contains(.signals) { refused += [0x8901, 0x8902] }
    return SyscallRule(
      .ioctl,
      [
        .init(.refuse(UInt16(EPERM)), when: .isOne(1, of: refused)),
        .init(.refuse(UInt16(EOPNOTSUPP)), when: .isOne(1, of: fileFlags)),
      ], .allow, why: "terminals and devices that are open; of files, what read and write could do")
  }

  private static func fcntl(_ features: FilterFeatures) -> SyscallRule {
    // F_SETOWN, F_SETSIG, F_SETOWN_EX have any signal sent to anybody.
    let owners: [UInt32] = features.contains(.signals) ? [8, 10, 15] : []
    let cases: [SyscallRule.Case] =
      owners.isEmpty ? [] : [.init(.refuse(UInt16(EPERM)), when: .isOne(1, of: owners))]
    return SyscallRule(.fcntl, cases, .allow, why: "locks and flags of what is open")
  }
}
