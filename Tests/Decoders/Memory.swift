import AgentshEnforcement
import CLinux
import LinuxSystem
import Seccomp

// What is read from a caller's memory: paths, argument vectors, messages. Compared with a plain second reading of the
// same bytes.

/// A notification of this process; what is answered to it goes nowhere.
func ownNotification(_ call: Int = 0, _ arguments: [UInt64] = []) -> PendingNotification {
  var request = seccomp_notif()
  request.id = 1
  request.pid = UInt32(bitPattern: currentThread())
  request.data.nr = Int32(truncatingIfNeeded: call)
  withUnsafeMutableBytes(of: &request.data.args) { bytes in
    for (index, value) in arguments.prefix(6).enumerated() {
      bytes.storeBytes(of: value, toByteOffset: index * 8, as: UInt64.self)
    }
  }
  return PendingNotification(request, listener: -1)
}

extension Decoder {
  /// A path in a caller's memory.
  static let path = Decoder("path") { (bytes) throws(Broken) in
    guard let arena = Arena.shared else { throw Broken("no memory") }
    try arena.holding(bytes) { (address, content) throws(Broken) in
      let notification = ownNotification()
      var text = PathText()
      let errno = notification.readPath(address, into: &text)
      let end = content.firstIndex(of: 0)
      let length = end ?? content.count
      let expected: Int32 = length >= PathText.limit ? ENAMETOOLONG : end == nil ? EFAULT : 0
      try hold(errno == expected, "\(length) bytes: \(errno), not \(expected)")
      guard errno == 0 else { return }
      try hold(Array(text.bytes) == Array(content[..<length]), "read as \(text.text)")
    }
  }

  /// An argument vector: first how many pointers, then for each where it points from the end of memory, then memory.
  static let argv = Decoder("argv") { (bytes) throws(Broken) in
    guard let arena = Arena.shared else { throw Broken("no memory") }
    var input = Input(bytes)
    let distances = (0..<Int(input.byte() & 0x7f)).map { _ in input.number(2) }
    let isEnded = input.byte() & 1 == 0
    let strings = input.tail
    // The strings, then the pointers at the very end.
    let pointers = distances.map(arena.address(beforeEnd:)) + (isEnded ? [0] : [])
    let table = pointers.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
    try arena.holding(strings + table) { (_, _) throws(Broken) in
      let address = arena.base + UInt64(Arena.size - table.count)
      var arguments = ExecArguments()
      let errno = arguments.read(from: currentThread(), at: table.isEmpty ? 0 : address)
      let (expectedErrno, expected) = plainArguments(pointers, isEnded: isEnded || table.isEmpty, arena)
      try hold(errno == expectedErrno, "\(errno), not \(expectedErrno)")
      guard errno == 0 else { return }
      try hold(arguments.count == expected.count, "\(arguments.count) arguments, not \(expected.count)")
      for (index, argument) in expected.enumerated() {
        try hold(Array(arguments.argument(index)) == argument, "argument \(index)")
      }
      for first in 0..<min(expected.count, 3) {
        let joined = Array(expected[first...].joined(separator: [0x20]))
        try hold(arguments.joined(from: first) == joined, "joined from \(first)")
      }
    }
  }

  /// A `struct msghdr` in memory, what it describes, and the payload.
  static let message = Decoder("msghdr") { (bytes) throws(Broken) in
    guard let arena = Arena.shared else { throw Broken("no memory") }
    var content = Array(bytes.suffix(Arena.size))
    guard content.count >= MessageHeader.size else { return }
    // Addresses of the header and of its pieces are put where the arena is.
    for offset in stride(from: 0, to: content.count - 7, by: 8) {
      let value = arena.address(number(content, at: offset))
      for index in 0..<8 { content[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
    }
    try arena.holding(content) { (address, content) throws(Broken) in
      let notification = ownNotification()
      var scratch = PathText()
      let header: MessageHeader
      do throws(MessageHeader.Failure) {
        header = try MessageHeader.read(notification, at: address, &scratch)
      } catch {
        return
      }
      try compare(header, content)
      // What lies elsewhere in this process may change between two readings.
      guard header.total <= 1 << 16, header.ranges.allSatisfy({ arena.contains($0.address, count: $0.count) })
      else { return }
      for (offset, limit) in [(0, 1 << 16), (1, 100), (header.total / 2, 5000)] {
        guard case .success(let payload) = header.readPayload(notification, from: offset, limit: limit) else {
          throw Broken("the payload is there and was not read")
        }
        let all = header.ranges.flatMap { range in
          (0..<range.count).compactMap { arena.byte(at: range.address + UInt64($0)) }
        }
        let expected = Array(all.dropFirst(offset).prefix(limit))
        try hold(payload == expected, "payload from \(offset), at most \(limit)")
      }
      guard case .success(let control) = header.readControl(notification) else { return }
      try hold(
        control.count == (header.control == 0 ? 0 : header.controlLength),
        "\(control.count) bytes of control data")
    }
  }
}

private func number(_ bytes: [UInt8], at offset: Int) -> UInt64 {
  (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
}

/// One string after the other, one byte after the other.
private func plainArguments(
  _ pointers: [UInt64], isEnded: Bool, _ arena: Arena
) -> (Int32, [[UInt8]]) {
  if !isEnded { return (EFAULT, []) }
  var result: [[UInt8]] = []
  for pointer in pointers {
    if pointer == 0 { break }
    var (string, address): ([UInt8], UInt64) = ([], pointer)
    while true {
      guard let next = arena.byte(at: address) else { return (EFAULT, []) }
      if next == 0 { break }
      string.append(next)
      address += 1
    }
    result.append(string)
  }
  return (0, result.isEmpty ? [[]] : result)
}

private func compare(_ header: MessageHeader, _ content: [UInt8]) throws(Broken) {
  try hold(header.name == number(content, at: 0), "another name")
  let length = Int32(truncatingIfNeeded: number(content, at: 8))
  try hold(
    header.name == 0 ? header.nameLength == 0 : length >= 0 && header.nameLength == min(length, 128),
    "a name of \(header.nameLength) bytes")
  try hold(
    header.control == number(content, at: 32) && UInt64(header.controlLength) == number(content, at: 40)
      && header.controlLength <= MessageHeader.controlLimit, "another control")
  try hold(
    header.ranges.count <= MessageHeader.rangeLimit && header.ranges.allSatisfy { $0.count > 0 }
      && header.total <= 0x7fff_f000, "\(header.ranges.count) pieces of \(header.total) bytes")
}
