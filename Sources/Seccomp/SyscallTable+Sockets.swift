import CLinux

extension SyscallTable {
  private static let socketTypeMask: UInt32 = 0xf  // SOCK_TYPE_MASK
  private static let fastOpen: UInt32 = 0x2000_0000  // MSG_FASTOPEN

  static func sockets(_ features: FilterFeatures) -> [SyscallRule] {
    let action: FilterAction = features.contains(.sockets) ? .notify : .allow
    let why: StaticString = "where to: the supervisor acts on a duplicate of the socket"
    // A connect in disguise. Callers fall back to connect and send.
    func noFastOpen(_ flags: Int) -> SyscallRule.Case {
      .init(.refuse(UInt16(EOPNOTSUPP)), when: .hasBit(flags, of: fastOpen))
    }
    return each([.connect, .bind], action, why: why) + [
      SyscallRule(.sendto, [noFastOpen(3), .init(.allow, when: .isWide(4, 0))], action, why: why),
      SyscallRule(.sendmsg, [noFastOpen(2)], action, why: why),
      SyscallRule(.sendmmsg, [noFastOpen(3)], action, why: why),
      SyscallRule(.socket, families, .allow, why: familiesWhy),
      SyscallRule(.socketpair, families, .allow, why: familiesWhy),
    ]
  }

  private static let familiesWhy: StaticString = "only families whose addresses a policy can name"

  /// UNIX and netlink in every form; IPv4 and IPv6 as streams and datagrams that connect through connect(2) only:
  /// SCTP connects through setsockopt, and Landlock takes MPTCP for no TCP. ping uses SOCK_DGRAM with ICMP.
  private static let families: [SyscallRule.Case] = [
    .init(.allow, when: .isOne(0, of: [UInt32(AF_UNIX), UInt32(AF_NETLINK)])),
    .init(.refuse(UInt16(EPERM)), when: .isOne(0, of: [UInt32(AF_PACKET)])),
    .init(.refuse(UInt16(EAFNOSUPPORT)), when: .isNone(0, of: [UInt32(AF_INET), UInt32(AF_INET6)])),
    // SOCK_RAW, SOCK_PACKET
    .init(.refuse(UInt16(EPERM)), when: .isOne(1, of: [3, 10], mask: socketTypeMask)),
    // SOCK_STREAM, SOCK_DGRAM
    .init(.refuse(UInt16(ESOCKTNOSUPPORT)), when: .isNone(1, of: [1, 2], mask: socketTypeMask)),
    .init(.refuse(UInt16(EPROTONOSUPPORT)), when: .isOne(2, of: [132, 262])),  // SCTP, MPTCP
  ]
}
