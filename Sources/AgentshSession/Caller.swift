/// Who asks, as the kernel says it of the connection (SO_PEERCRED). `unix(7)`.
package struct Caller: Sendable, Equatable {
  package let uid: UInt32
  package let gid: UInt32
  /// In the daemon's pid namespace.
  package let pid: Int32

  package init(uid: UInt32, gid: UInt32, pid: Int32) {
    self.uid = uid
    self.gid = gid
    self.pid = pid
  }
}

/// One start of a program in a session. Also the stream number of its events, so it is random and not 0.
package struct LaunchID: Sendable, Hashable, CustomStringConvertible {
  package let number: UInt64
  package init(number: UInt64) { self.number = number }

  package static func random() -> LaunchID {
    // The system's generator is getrandom(2).
    var generator = SystemRandomNumberGenerator()
    return LaunchID(number: UInt64.random(in: 1...UInt64.max, using: &generator))
  }

  package var description: String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// Random bytes for tokens and keys. `getrandom(2)`.
package func randomBytes(_ count: Int) -> [UInt8] {
  var generator = SystemRandomNumberGenerator()
  var bytes: [UInt8] = []
  // Each word is a system call.
  while bytes.count < count {
    var word: UInt64 = generator.next()
    for _ in 0..<8 {
      bytes.append(UInt8(truncatingIfNeeded: word))
      word >>= 8
    }
  }
  return Array(bytes.prefix(count))
}

/// Lower-case hex, two digits a byte.
package func hex(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  var text: [UInt8] = []
  for byte in bytes {
    text.append(digits[Int(byte >> 4)])
    text.append(digits[Int(byte & 15)])
  }
  return String(decoding: text, as: UTF8.self)
}

/// A random UUID, version 4. RFC 9562.
package func randomUUID() -> String {
  var bytes = randomBytes(16)
  bytes[6] = bytes[6] & 0x0F | 0x40
  bytes[8] = bytes[8] & 0x3F | 0x80
  let text = Array(hex(bytes).utf8)
  let parts = [text[0..<8], text[8..<12], text[12..<16], text[16..<20], text[20..<32]]
  return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
}

/// Whether two secrets are the same; takes as long when they are not.
package func equalsInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  guard a.count == b.count else { return false }
  var difference: UInt8 = 0
  for index in a.indices { difference |= a[index] ^ b[index] }
  return difference == 0
}
