import CLinux
import Seccomp

/// Runs a filter as the kernel does. `Documentation/networking/filter.rst`.
struct FilterInterpreter {
  let program: [sock_filter]

  struct Result {
    let code: UInt32
    let executed: Int
  }

  /// nil when the filter leaves its bounds or has an instruction that the kernel would not take.
  func run(number: UInt32, architecture: UInt32, arguments: [UInt64]) -> Result? {
    // struct seccomp_data: nr, arch, instruction pointer, six arguments.
    var words: [UInt32] = [number, architecture, 0, 0]
    for argument in arguments {
      words += [UInt32(truncatingIfNeeded: argument), UInt32(truncatingIfNeeded: argument >> 32)]
    }
    var accumulator: UInt32 = 0
    var at = 0
    for executed in 1...program.count {
      guard program.indices.contains(at) else { return nil }
      let one = program[at]
      at += 1
      switch one.code {
      case 0x20:  // LD W ABS
        guard one.k % 4 == 0, Int(one.k / 4) < words.count else { return nil }
        accumulator = words[Int(one.k / 4)]
      case 0x54: accumulator &= one.k
      case 0x05: at += Int(one.k)
      case 0x15: at += Int(accumulator == one.k ? one.jt : one.jf)
      case 0x35: at += Int(accumulator >= one.k ? one.jt : one.jf)
      case 0x45: at += Int(accumulator & one.k != 0 ? one.jt : one.jf)
      case 0x06: return Result(code: one.k, executed: executed)
      default: return nil
      }
    }
    return nil
  }
}
