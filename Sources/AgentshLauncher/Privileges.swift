import CLinux
import LinuxSystem

/// Giving up rights, for good.
enum Privileges {
  /// No execve gives more rights than its caller has. `prctl(2)`, PR_SET_NO_NEW_PRIVS, since Linux 3.5.
  static func giveUpGaining() throws(SystemCallError) {
    try check("prctl", rawCall(SystemCall.prctl, Int(PR_SET_NO_NEW_PRIVS), 1))
  }

  /// Whether any of the ids that root's rights come from is 0.
  static var isRoot: Bool { rawCall(SystemCall.getuid) == 0 || rawCall(SystemCall.geteuid) == 0 }

  /// Leaves root the capabilities in `keep`, and everybody else none.
  ///
  /// The bounding set is root's only: others cannot narrow it, and under no_new_privs an execve gives them nothing.
  /// Throws EPERM when the bounding set is too wide and CAP_SETPCAP is missing. `capabilities(7)`.
  static func dropCapabilities(keeping keep: UInt64) throws(SystemCallError) {
    let root = isRoot
    if root { try narrowBoundingSet(to: keep) }
    try check("prctl", rawCall(SystemCall.prctl, Int(PR_CAP_AMBIENT), Int(PR_CAP_AMBIENT_CLEAR_ALL)))
    var sets = try capabilities()
    let kept = root ? sets.permitted & keep : 0
    sets = CapabilitySets(effective: kept, permitted: kept, inheritable: 0)
    try setCapabilities(sets)
    guard try capabilities() == sets else { throw SystemCallError("capset", EPERM) }
  }

  private static func narrowBoundingSet(to keep: UInt64) throws(SystemCallError) {
    for capability in 0..<64 {
      let held = rawCall(SystemCall.prctl, Int(PR_CAPBSET_READ), capability)
      if held == -Int(EINVAL) { return }  // beyond the kernel's last
      try check("prctl", held)
      guard held == 1, keep >> UInt64(capability) & 1 == 0 else { continue }
      try check("prctl", rawCall(SystemCall.prctl, Int(PR_CAPBSET_DROP), capability))
    }
  }

  private struct CapabilitySets: Equatable {
    var effective: UInt64
    var permitted: UInt64
    var inheritable: UInt64
  }

  private static let version: UInt32 = 0x2008_0522  // _LINUX_CAPABILITY_VERSION_3

  private static func capabilities() throws(SystemCallError) -> CapabilitySets {
    // Six words: effective, permitted, inheritable of capabilities 0 to 31, then of 32 to 63.
    var words: InlineArray<6, UInt32> = .init(repeating: 0)
    try check("capget", call(SystemCall.capget, &words))
    func wide(_ index: Int) -> UInt64 { UInt64(words[index]) | UInt64(words[index + 3]) << 32 }
    return CapabilitySets(effective: wide(0), permitted: wide(1), inheritable: wide(2))
  }

  private static func setCapabilities(_ sets: CapabilitySets) throws(SystemCallError) {
    var words: InlineArray<6, UInt32> = .init(repeating: 0)
    for (index, set) in [sets.effective, sets.permitted, sets.inheritable].enumerated() {
      words[index] = UInt32(truncatingIfNeeded: set)
      words[index + 3] = UInt32(truncatingIfNeeded: set >> 32)
    }
    try check("capset", call(SystemCall.capset, &words))
  }

  private static func call(_ number: Int, _ words: inout InlineArray<6, UInt32>) -> Int {
    var header = __user_cap_header_struct(version: version, pid: 0)
    // SAFETY: version 3 means two structures of three words each; both live across the call.
    return unsafe withUnsafeMutablePointer(to: &header) { header in
      unsafe withUnsafeMutablePointer(to: &words) { words in
        rawCall(number, kernelAddress(header), kernelAddress(words))
      }
    }
  }
}
