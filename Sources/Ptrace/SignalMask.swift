import CLinux
import LinuxSystem

/// The signals that a stopped tracee blocks, one bit each from SIGHUP on. `ptrace(2)`, PTRACE_GETSIGMASK
func signalMask(of thread: Int32) throws(SystemCallError) -> UInt64 {
  var mask: UInt64 = 0
  // SAFETY: the kernel stores eight bytes at `mask`, which lives across the call.
  let result = unsafe withUnsafeMutablePointer(to: &mask) {
    rawCall(Int(SYS_ptrace), 0x420a, Int(thread), 8, kernelAddress($0))
  }
  try check("ptrace", result)
  return mask
}

/// `ptrace(2)`, PTRACE_SETSIGMASK
func setSignalMask(_ mask: UInt64, of thread: Int32) throws(SystemCallError) {
  var mask = mask
  // SAFETY: the kernel reads eight bytes at `mask`, which lives across the call.
  let result = unsafe withUnsafeMutablePointer(to: &mask) {
    rawCall(Int(SYS_ptrace), 0x420b, Int(thread), 8, kernelAddress($0))
  }
  try check("ptrace", result)
}
