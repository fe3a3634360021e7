import AgentshClient
import CLinux
import LinuxSystem

/// Writing to the standard descriptors, without buffers between.
package enum Output {
  /// To standard output. A reader that is gone ends the command, as it would any other.
  package static func write(_ bytes: [UInt8]) { write(bytes, to: 1) }
  package static func line(_ text: String) { write(Array((text + "\n").utf8), to: 1) }
  /// To standard error.
  package static func note(_ text: String) { write(Array((text + "\n").utf8), to: 2) }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = retryingInterrupt {
        // SAFETY: `rest` lives across the call, which only reads it.
        unsafe rest.withUnsafeBytes {
          rawCall(Int(SYS_write), Int(descriptor), kernelAddress($0.baseAddress), $0.count)
        }
      }
      if count == -Int(EAGAIN) {
        _ = poll([(descriptor, Int16(POLLOUT))], milliseconds: -1)
        continue
      }
      // Nobody is left to tell.
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
