import CLinux
import LinuxSystem

/// What a root session's tree is left with (KERNEL-FACTS): enough to install a package in a container.
package let treeCapabilities: UInt64 =
  1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10

/// CAP_SYS_PTRACE: callers that changed their uid without exec, as apt's methods do, cannot be read otherwise
/// (DECISIONS 12).
private let tracing: UInt64 = 1 << 19

/// CAP_SETGID and CAP_SETUID: to take on another caller's identity.
private let becoming: UInt64 = 1 << 6 | 1 << 7

/// Drops what the supervisor has beyond the tree, but for CAP_SYS_PTRACE. Nothing to do for ordinary users.
func keepCapabilities() throws(SystemCallError) {
  try changeCapabilities { permitted, effective in
    permitted &= treeCapabilities | tracing
    effective = permitted
  }
}

/// The thread acts with these of what it has, and what it needs for itself. False: it does not.
func useCapabilities(_ wanted: UInt64) -> Bool {
  do throws(SystemCallError) {
    try changeCapabilities { permitted, effective in
      effective = permitted & (wanted | becoming | tracing)
    }
    return true
  } catch { return false }
}

/// `capset(2)`, of the calling thread; nothing is inheritable afterwards.
private func changeCapabilities(
  _ change: (_ permitted: inout UInt64, _ effective: inout UInt64) -> Void
) throws(SystemCallError) {
  var header = __user_cap_header_struct(version: 0x2008_0522, pid: 0)
  // Capabilities 0 to 31, and from 32 on.
  var data: InlineArray<2, __user_cap_data_struct> = .init(repeating: __user_cap_data_struct())
  // SAFETY: header and data are what the call wants and outlive it.
  func call(_ number: Int) -> Int {
    unsafe withUnsafeMutablePointer(to: &data) { data in
      unsafe withUnsafeMutablePointer(to: &header) {
        rawCall(number, kernelAddress($0), kernelAddress(data))
      }
    }
  }
  try check("capget", call(Int(SYS_capget)))
  var permitted = UInt64(data[0].permitted) | UInt64(data[1].permitted) << 32
  var effective = UInt64(data[0].effective) | UInt64(data[1].effective) << 32
  change(&permitted, &effective)
  for word in 0..<2 {
    data[word].permitted = UInt32(truncatingIfNeeded: permitted >> UInt64(32 * word))
    data[word].effective = UInt32(truncatingIfNeeded: effective >> UInt64(32 * word))
    data[word].inheritable = 0
  }
  try check("capset", call(Int(SYS_capset)))
}
