import CLinux
import LinuxSystem

/// What the first bytes of a file tell the kernel about how to start it.
package enum ExecFormat: Equatable {
  /// ELF for this machine: the image is the file itself.
  case native
  /// `#!`: the kernel starts the interpreter, without a second notification.
  case script(interpreter: [UInt8], argument: [UInt8]?)
  /// ENOEXEC, or the business of binfmt_misc: what runs is known at the exec stop.
  case other

  /// How much the kernel reads (BINPRM_BUF_SIZE).
  package static let headSize = 256
  /// After so many interpreters the kernel says ELOOP.
  static let interpreterLimit = 5

  /// `head` is the file's beginning, filled up with zeros. As in fs/binfmt_script.c.
  package init(head: [UInt8]) {
    guard head.count == Self.headSize else {
      self = .other
      return
    }
    if head.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]), head[18] == 62, head[19] == 0 {
      self = .native
    } else if head[0] == UInt8(ascii: "#"), head[1] == UInt8(ascii: "!"), let script = Self.script(head) {
      self = script
    } else {
      self = .other
    }
  }

  private static func script(_ head: [UInt8]) -> ExecFormat? {
    let last = headSize - 1
    var end: Int
    if let newline = head.firstIndex(of: 10) {
      end = newline
    } else {
      // Cut off by the buffer: the interpreter's name at least must be whole.
      guard let first = head[2..<last].firstIndex(where: { !isBlank($0) }),
        head[first..<last].contains(where: { isBlank($0) || $0 == 0 })
      else { return nil }
      end = last
    }
    while end > 2, isBlank(head[end - 1]) { end -= 1 }
    guard let start = head[2..<end].firstIndex(where: { !isBlank($0) }) else { return nil }
    let stop = head[start..<end].firstIndex { isBlank($0) || $0 == 0 } ?? end
    let interpreter = Array(head[start..<stop])
    guard !interpreter.isEmpty else { return nil }
    guard stop < end, head[stop] != 0, let argument = head[stop..<end].firstIndex(where: { !isBlank($0) })
    else {
      return .script(interpreter: interpreter, argument: nil)
    }
    let argumentEnd = head[argument..<end].firstIndex(of: 0) ?? end
    return .script(interpreter: interpreter, argument: Array(head[argument..<argumentEnd]))
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }
}

/// Reads the beginning of a pinned file. Returns 0, or the errno of opening or reading it with the caller's rights:
/// EACCES for what may be run but not read, EAGAIN where a lease would keep the receiver waiting.
func readHead(ofPinned descriptor: Int32, mayBlock: Bool, into head: inout [UInt8]) -> Int32 {
  let flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | (mayBlock ? 0 : O_NONBLOCK)
  let opened = ProcPath(ownDescriptor: descriptor).open(flags: flags)
  guard opened >= 0 else { return Int32(truncatingIfNeeded: -opened) }
  let file = FileDescriptor(owning: Int32(opened))
  head = [UInt8](repeating: 0, count: ExecFormat.headSize)
  // SAFETY: `headSize` bytes, alive across the call.
  let count = unsafe head.withUnsafeMutableBytes {
    rawCall(
      Int(SYS_pread64), Int(file.number), kernelAddress($0.baseAddress), ExecFormat.headSize, 0)
  }
  return count < 0 ? Int32(truncatingIfNeeded: -count) : 0
}

/// Whether something is registered with binfmt_misc, so that what an executable's first bytes say need not be what
/// starts. `Documentation/admin-guide/binfmt-misc.rst`.
func hasRegisteredFormats() -> Bool {
  var information = stat()
  guard statAt(AT_FDCWD, PathText("/proc/sys/fs/binfmt_misc/status"), &information, flags: 0) == 0 else {
    return false
  }
  let opened = openAt(
    AT_FDCWD, PathText("/proc/sys/fs/binfmt_misc"), flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard opened >= 0 else { return false }
  let directory = FileDescriptor(owning: Int32(opened))
  var buffer = PathText()
  var entries = 0
  while true {
    let count = buffer.fill(capacity: PathText.limit) {
      rawCall(Int(SYS_getdents64), Int(directory.number), $0, PathText.limit)
    }
    guard count > 0 else { break }
    var offset = 0
    while offset + 18 < count {
      let length = Int(buffer[offset + 16]) | Int(buffer[offset + 17]) << 8
      guard length > 0 else { break }
      entries += 1
      offset += length
    }
  }
  return entries > 4  // ., .., register, status
}
