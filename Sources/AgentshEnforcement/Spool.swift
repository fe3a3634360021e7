import CLinux
package import LinuxSystem

/// Event frames on disk while there is no daemon to take them. Bounded; first in, first out; emptied when all of it
/// has been stored.
package struct Spool: ~Copyable {
  private let file: FileDescriptor
  package let limit: UInt64
  package private(set) var size: UInt64 = 0

  /// Creates the file anew, 0600, never through a link. Throws EEXIST for somebody else's.
  package init(path: String, limit: UInt64) throws(SystemCallError) {
    let name = PathText(path)
    let flags = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_APPEND
    let opened = openAt(AT_FDCWD, name, flags: flags, mode: 0o600)
    file = FileDescriptor(owning: Int32(try check("open", opened)))
    self.limit = limit
  }

  /// A file that a daemon made and opened for us (O_APPEND); empty.
  package init(owning file: consuming FileDescriptor, limit: UInt64) {
    self.file = file
    self.limit = limit
  }

  package var isEmpty: Bool { size == 0 }

  /// Appends a whole frame. Throws EDQUOT at the limit, ENOSPC when the disk is full; nothing is half-written then.
  ///
  /// - Parameter isLast: what is left when no call is made any more goes in whatever the limit; it is bounded by the
  ///   buffers (`FrameHeader.spoolExcess`).
  package mutating func append(_ frame: [UInt8], isLast: Bool = false) throws(SystemCallError) {
    guard isLast || size + UInt64(frame.count) <= limit else { throw SystemCallError("write", EDQUOT) }
    let result = writeAll(file.number, frame)
    guard result == 0 else {
      _ = truncateDescriptor(file.number, length: Int64(size))
      throw SystemCallError("write", Int32(truncatingIfNeeded: -result))
    }
    size += UInt64(frame.count)
  }

  /// Hands every frame on, in order, then empties the file. Stops, with everything kept, when `body` says false, and
  /// says so.
  package mutating func drain(_ body: ([UInt8]) -> Bool) throws(SystemCallError) -> Bool {
    var offset: UInt64 = 0
    while offset < size {
      let header = try read(5, at: offset)
      var length = 0
      for index in 0..<4 { length |= Int(header[index]) << (8 * index) }
      let frame = try read(5 + length, at: offset)
      guard body(frame) else { return false }
      offset += UInt64(frame.count)
    }
    _ = truncateDescriptor(file.number, length: 0)
    size = 0
    return true
  }

  private func read(_ count: Int, at offset: UInt64) throws(SystemCallError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      // SAFETY: the rest of the buffer, alive across the call.
      let got = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
        rawCall(
          Int(SYS_pread64), Int(file.number), kernelAddress(bytes.baseAddress) + filled, count - filled,
          Int(offset) + filled)
      }
      if got == -Int(EINTR) { continue }
      guard got > 0 else { throw SystemCallError("pread", got == 0 ? EIO : Int32(truncatingIfNeeded: -got)) }
      filled += got
    }
    return buffer
  }
}
