import CLinux
import LinuxSystem

/// A stopped thread's registers, `struct user_regs_struct` of `sys/user.h`: 27 words of x86-64.
struct Registers {
  private var words = InlineArray<27, UInt64>(repeating: 0)

  private static let get = 12
  private static let set = 13
  /// In the order of arguments: rdi, rsi, rdx, r10, r8, r9.
  private static let argumentPlaces: InlineArray<6, Int> = [14, 13, 12, 7, 9, 8]
  /// Of the instruction `syscall`.
  private static let instructionSize: UInt64 = 2

  /// Throws ESRCH where the thread is not stopped any more, as it was killed.
  init(of thread: Int32) throws(SystemCallError) {
    // SAFETY: the kernel writes 216 bytes, the size of `words`, which live across the call.
    let result = unsafe withUnsafeMutablePointer(to: &words) {
      rawCall(Int(SYS_ptrace), Self.get, Int(thread), 0, kernelAddress($0))
    }
    try check("ptrace", result)
  }

  /// Throws ESRCH where the thread was killed.
  func put(into thread: Int32) throws(SystemCallError) {
    var copy = words
    // SAFETY: the kernel reads 216 bytes, the size of `copy`, which lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &copy) {
      rawCall(Int(SYS_ptrace), Self.set, Int(thread), 0, kernelAddress($0))
    }
    try check("ptrace", result)
  }

  /// What a call has returned, or is to return.
  var result: Int64 {
    get { Int64(bitPattern: words[10]) }
    set { words[10] = UInt64(bitPattern: newValue) }
  }
  /// Number of the call that the thread is in; -1: none, and what is set so at its entry is not made.
  var call: Int64 {
    get { Int64(bitPattern: words[15]) }
    set { words[15] = UInt64(bitPattern: newValue) }
  }
  var arguments: InlineArray<6, UInt64> {
    get {
      var values = InlineArray<6, UInt64>(repeating: 0)
      for index in 0..<6 { values[index] = words[Self.argumentPlaces[index]] }
      return values
    }
    set { for index in 0..<6 { words[Self.argumentPlaces[index]] = newValue[index] } }
  }

  /// Address of the next instruction.
  var place: UInt64 { words[16] }
  /// Whether it runs a program of 64 bits, by its code segment.
  var isWide: Bool { words[17] == 0x33 }

  /// Whether a thread is at the entry of the same call, made from the same place.
  func isSame(as other: Registers) -> Bool {
    for place in [15, 16, 19, 14, 13, 12, 7, 9, 8] where words[place] != other.words[place] { return false }
    return true
  }

  /// At the end of another call that was made in its place: makes the one of `entry` from the start. Signals that came
  /// meanwhile are handled before it.
  static func again(_ entry: Registers) -> Registers {
    var registers = entry
    registers.words[10] = entry.words[15]
    registers.words[16] -= instructionSize
    registers.call = -1
    return registers
  }
}
