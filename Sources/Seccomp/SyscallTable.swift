/// Every call of x86_64 and what happens to it. A number that is not here gets ENOSYS.
package enum SyscallTable {
  /// One rule per call, by number, for a filter with these features.
  package static func rules(_ features: FilterFeatures) -> [SyscallRule] {
    var rules: [SyscallRule] = []
    rules.reserveCapacity(X86Call.allCases.count)
    for group in allowed { rules += group.calls.map { SyscallRule($0, .allow, why: group.why) } }
    for group in refused {
      rules += group.calls.map { SyscallRule($0, .refuse(group.errno), why: group.why) }
    }
    rules +=
      files(features) + looks(features) + commands(features) + sockets(features) + processes(features)
      + memory(features) + objects(features) + mounts(features)
    rules += identities(features) + signals(features) + byArgument(features)
    rules.sort { $0.number < $1.number }
    return features.contains(.traced) ? rules.map { $0.traced() } : rules
  }

  /// Rules that are the same for several calls.
  struct Group {
    let why: StaticString
    let errno: UInt16
    let calls: [X86Call]

    init(_ why: StaticString, errno: UInt16 = 0, _ calls: X86Call...) {
      self.why = why
      self.errno = errno
      self.calls = calls
    }
  }

  static func each(_ calls: [X86Call], _ action: FilterAction, why: StaticString) -> [SyscallRule] {
    calls.map { SyscallRule($0, action, why: why) }
  }
}
