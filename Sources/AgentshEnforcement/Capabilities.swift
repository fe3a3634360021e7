import CLinux
import LinuxSystem

/// What a root session's tree is left with (KERNEL-FACTS): enough to install a package in a container.
package let treeCapabilities: UInt64 =
  1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10

/// Drops what the supervisor has beyond the tree, but for CAP_SYS_PTRACE (19): callers that changed their uid without
/// exec, as apt's methods do, cannot be read otherwise (DECISIONS 12). Nothing to do for ordinary users.
///
/// `capset(2)`, `capabilities(7)`.
func keepCapabilities() throws(SystemCallError) {
  var header = __user_cap_header_struct(version: 0x2008_0522, pid: 0)
  var data = [__user_cap_data_struct](repeating: __user_cap_data_struct(), count: 2)
  // SAFETY: header and data are what the call wants and outlive it.
  func call(_ number: Int) -> Int {
    unsafe data.withUnsafeMutableBufferPointer { data in
      unsafe withUnsafeMutablePointer(to: &header) {
        rawCall(number, kernelAddress($0), kernelAddress(data.baseAddress))
      }
    }
  }
  try check("capget", call(Int(SYS_capget)))
  let kept = treeCapabilities | 1 << 19
  for word in 0..<2 {
    let mask = UInt32(truncatingIfNeeded: kept >> UInt64(32 * word))
    data[word].permitted &= mask
    data[word].effective = data[word].permitted
    data[word].inheritable = 0
  }
  try check("capset", call(Int(SYS_capset)))
}
