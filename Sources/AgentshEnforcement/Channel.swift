package import AgentshWire
import CLinux
package import LinuxSystem
import Synchronization

/// The supervisor's end of its connection to the daemon: whole frames in, whole frames out.
///
/// Reading belongs to one thread; writing is guarded. A connection that said something wrong is closed, not repaired.
package final class Channel: Sendable {
  package enum Failure: Error, Equatable, Sendable {
    /// The other end is gone.
    case closed
    case system(call: StaticName, errno: Int32)
    case malformed(WireError)
  }

  package let descriptor: Int32
  private let writing = Mutex(())

  /// Takes a connected stream socket over; closed by `close()` or the end of the process.
  package init(owning descriptor: Int32) { self.descriptor = descriptor }

  package func close() { closeDescriptor(descriptor) }

  /// Blocks until a whole frame is there.
  package func receive() throws(Failure) -> (kind: FrameKind, payload: [UInt8]) {
    let header: FrameHeader
    do throws(WireError) {
      header = try FrameHeader(try bytes(FrameHeader.size, as: ()))
    } catch {
      throw .malformed(error)
    }
    return (header.kind, try readExactly(header.length))
  }

  private func bytes(_ count: Int, as _: Void) throws(WireError) -> [UInt8] {
    do throws(Failure) {
      return try readExactly(count)
    } catch {
      throw .truncated(offset: 0, wanted: count)
    }
  }

  private func readExactly(_ count: Int) throws(Failure) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      // SAFETY: the rest of the buffer, alive across the call.
      let got = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
        rawCall(Int(SYS_read), Int(descriptor), kernelAddress(bytes.baseAddress) + filled, count - filled)
      }
      if got == -Int(EINTR) { continue }
      if got == 0 { throw .closed }
      if got < 0 { throw .system(call: "read", errno: Int32(truncatingIfNeeded: -got)) }
      filled += got
    }
    return buffer
  }

  /// Writes a whole frame; blocks while the other end does not read.
  package func send(_ bytes: [UInt8]) throws(Failure) {
    let errno: Int32 = writing.withLock { _ in
      var sent = 0
      while sent < bytes.count {
        // SAFETY: the rest of the bytes, alive across the call.
        let got = unsafe bytes.withUnsafeBufferPointer { buffer in
          rawCall(
            Int(SYS_sendto), Int(descriptor), kernelAddress(buffer.baseAddress) + sent, bytes.count - sent,
            Int(MSG_NOSIGNAL), 0, 0)
        }
        if got == -Int(EINTR) { continue }
        if got <= 0 { return got == 0 ? EPIPE : Int32(truncatingIfNeeded: -got) }
        sent += got
      }
      return 0
    }
    if errno == EPIPE || errno == ECONNRESET { throw .closed }
    if errno != 0 { throw .system(call: "send", errno: errno) }
  }
}
