import CLinux
import LinuxSystem
import Seccomp

/// A call that fails for this thread and what it starts, as on a kernel that lacks it or refuses it.
struct Fault {
  let call: X86Call
  /// Only when the low half of this argument has this value.
  var argument: (index: Int, value: UInt32)?
  let errno: Int32

  init(_ call: X86Call, _ argument: (index: Int, value: UInt32)? = nil, _ errno: Int32) {
    self.call = call
    self.argument = argument
    self.errno = errno
  }

  /// Puts it on this thread for good.
  func install() throws {
    let refuse = sock_filter(code: 0x06, jt: 0, jf: 0, k: FilterAction.refuse(UInt16(errno)).code)
    let allow = sock_filter(code: 0x06, jt: 0, jf: 0, k: FilterAction.allow.code)
    var program = [sock_filter(code: 0x20, jt: 0, jf: 0, k: 0)]
    if let argument {
      program += [
        sock_filter(code: 0x15, jt: 0, jf: 3, k: UInt32(call.rawValue)),
        sock_filter(code: 0x20, jt: 0, jf: 0, k: 16 + 8 * UInt32(argument.index)),
        sock_filter(code: 0x15, jt: 0, jf: 1, k: argument.value),
      ]
    } else {
      program += [sock_filter(code: 0x15, jt: 0, jf: 1, k: UInt32(call.rawValue))]
    }
    program += [refuse, allow]
    try check("prctl", rawCall(Int(SYS_prctl), 38, 1))
    try check("seccomp", clinux_seccomp_install(program, UInt16(program.count), 0))
  }
}
