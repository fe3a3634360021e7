import CLinux

/// `/proc/PID/…` names in a few bytes on the stack: made on the hot path, where a String would allocate.
package struct ProcPath: Sendable {
  private var storage = InlineArray<64, UInt8>(repeating: 0)
  private var count = 0

  /// `/proc/PID/WORD`, and `/NUMBER` behind it where one is given. `proc(5)`.
  package init(_ process: Int32, _ word: StaticString, _ number: Int32? = nil) {
    append("/proc/")
    append(process)
    append("/")
    append(word)
    if let number {
      append("/")
      append(number)
    }
  }

  /// `/proc/self/fd/N`: a descriptor of ours by name.
  package init(ownDescriptor number: Int32) {
    append("/proc/self/fd/")
    append(number)
  }

  private mutating func append(_ text: StaticString) {
    // SAFETY: a StaticString's bytes live for ever.
    for index in 0..<text.utf8CodeUnitCount { unsafe append(byte: text.utf8Start[index]) }
  }

  private mutating func append(_ number: Int32) {
    var divisor: Int32 = 1
    let value = max(0, number)
    while value / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      append(byte: 0x30 + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  private mutating func append(byte: UInt8) {
    guard count < 63 else { return }
    storage[count] = byte
    count += 1
  }

  /// The address of the NUL-terminated bytes, for the time of `body`.
  @inline(__always)
  package func withAddress(_ body: (Int) -> Int) -> Int {
    // SAFETY: 64 bytes of which the last is never written: NUL-terminated; the kernel only reads them.
    unsafe storage.span.withUnsafeBufferPointer { body(kernelAddress($0.baseAddress)) }
  }

  /// `readlink(2)` of this name.
  package func readLink(into text: inout PathText) -> Int {
    withAddress { address in
      text.fill(capacity: PathText.limit) { rawCall(Int(SYS_readlink), address, $0, PathText.limit) }
    }
  }

  /// `open(2)` of this name. Returns a descriptor.
  package func open(flags: Int32) -> Int { withAddress { rawCall(Int(SYS_open), $0, Int(flags), 0) } }

  /// Reads the file's beginning with one call, as the kernel makes the text when it is first read. Returns how many
  /// bytes, or -errno.
  package func read(into text: inout InlineArray<4096, UInt8>) -> Int {
    let opened = open(flags: O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return opened }
    let file = FileDescriptor(owning: Int32(opened))
    // SAFETY: 4096 bytes, alive across the call.
    return unsafe withUnsafeMutablePointer(to: &text) {
      rawCall(Int(SYS_read), Int(file.number), kernelAddress($0), 4096)
    }
  }
}
