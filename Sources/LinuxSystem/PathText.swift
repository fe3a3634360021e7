/// The bytes of a path with a NUL behind them, in storage that is made once: a value that lives on a thread's stack
/// and is reused allocates nothing. Bytes, not characters: paths need not be UTF-8.
package struct PathText: Sendable {
  /// PATH_MAX: the longest path the kernel takes, NUL included.
  package static let limit = 4096
  private static let capacity = limit + 512
  fileprivate var storage: [UInt8]
  package fileprivate(set) var count = 0
  /// Something did not fit. Sticky until `removeAll`; what is too long is never acted on.
  private var overflowed = false

  package init() { storage = [UInt8](repeating: 0, count: Self.capacity + 1) }

  package init(_ text: String) {
    self.init()
    append(text.utf8)
  }

  package init(_ bytes: some Sequence<UInt8>) {
    self.init()
    append(bytes)
  }

  package var isEmpty: Bool { count == 0 }
  /// Longer than the kernel takes.
  package var isTooLong: Bool { overflowed || count >= Self.limit }
  package var span: Span<UInt8> {
    @_lifetime(borrow self) get { storage.span.extracting(0..<count) }
  }
  package var bytes: ArraySlice<UInt8> { storage[0..<count] }
  package var text: String { String(decoding: bytes, as: UTF8.self) }
  package subscript(index: Int) -> UInt8 { storage[index] }

  package mutating func removeAll() {
    count = 0
    overflowed = false
    storage[0] = 0
  }

  package mutating func append(_ byte: UInt8) {
    guard count < Self.capacity else {
      overflowed = true
      return
    }
    storage[count] = byte
    count += 1
    storage[count] = 0
  }

  package mutating func append(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { append(byte) }
  }

  package mutating func append(_ other: PathText, from: Int = 0) {
    for index in from..<max(from, other.count) { append(other.storage[index]) }
  }

  /// Cuts back to the first `length` bytes.
  package mutating func truncate(to length: Int) {
    guard length < count else { return }
    count = length
    storage[count] = 0
  }

  /// Takes off the slash that asks for a directory. Whether there was one; the root has none.
  @discardableResult
  package mutating func cutSlash() -> Bool {
    guard count > 1, storage[count - 1] == UInt8(ascii: "/") else { return false }
    truncate(to: count - 1)
    return true
  }

  /// Takes the first `length` bytes off.
  package mutating func dropFirst(_ length: Int) {
    guard length > 0 else { return }
    let rest = max(0, count - length)
    for index in 0..<rest { storage[index] = storage[index + length] }
    count = rest
    storage[count] = 0
  }

  /// Puts bytes before the first one.
  package mutating func prepend(_ prefix: StaticString) {
    let length = prefix.utf8CodeUnitCount
    guard count + length <= Self.capacity else {
      overflowed = true
      return
    }
    for index in stride(from: count, through: 0, by: -1) { storage[index + length] = storage[index] }
    // SAFETY: a StaticString's bytes live for ever.
    for index in 0..<length { unsafe storage[index] = prefix.utf8Start[index] }
    count += length
  }

  package func starts(with prefix: StaticString) -> Bool {
    guard count >= prefix.utf8CodeUnitCount else { return false }
    // SAFETY: a StaticString's bytes live for ever.
    for index in 0..<prefix.utf8CodeUnitCount where unsafe prefix.utf8Start[index] != storage[index] {
      return false
    }
    return true
  }

  package func equals(_ text: StaticString) -> Bool { count == text.utf8CodeUnitCount && starts(with: text) }

  package static func == (a: PathText, b: PathText) -> Bool {
    guard a.count == b.count else { return false }
    for index in 0..<a.count where a.storage[index] != b.storage[index] { return false }
    return true
  }

  /// Fills the storage by a call that writes at most `capacity` bytes at `address` and returns how many, or -errno.
  package mutating func fill(capacity: Int, _ body: (_ address: Int) -> Int) -> Int {
    overflowed = false
    let room = min(capacity, Self.capacity)
    // SAFETY: `room` bytes of storage; the call writes no more.
    let result = unsafe storage.withUnsafeMutableBufferPointer { body(kernelAddress($0.baseAddress)) }
    count = max(0, min(result, room))
    storage[count] = 0
    return result
  }

  /// Cuts at the first NUL. False when there is none.
  package mutating func cutAtNul() -> Bool {
    for index in 0..<count where storage[index] == 0 {
      count = index
      return true
    }
    return false
  }

  /// The address of the NUL-terminated bytes, for the time of `body`.
  @inline(__always)
  package func withAddress(_ body: (Int) -> Int) -> Int {
    // SAFETY: the storage ends in NUL and outlives the call; the kernel only reads it.
    unsafe storage.withUnsafeBufferPointer { body(kernelAddress($0.baseAddress)) }
  }
}

extension PathText: Equatable {}

extension PathText {
  /// The first `length` bytes as a path of their own, for the time of `body`; the rest is there again afterwards.
  package mutating func withEnd<Result>(at length: Int, _ body: (PathText) -> Result) -> Result {
    let full = count
    let byte = storage[length]
    count = length
    storage[length] = 0
    let result = body(self)
    storage[length] = byte
    count = full
    return result
  }
}
