/// A JSON object written front to back. RFC 8259.
package struct JSONText {
  package private(set) var bytes: [UInt8] = []
  private var first = true
  /// The second that was written last: events come in the order of their time, and most share it with the one before.
  private var second = UInt64.max
  private var secondText: [UInt8] = []

  package init() {}
  package mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }
  package mutating func begin() {
    bytes.append(UInt8(ascii: "{"))
    first = true
  }
  package mutating func end() {
    bytes.append(UInt8(ascii: "}"))
    first = false
  }
  /// A whole object that was written before.
  package mutating func object(_ text: String) { bytes.append(contentsOf: text.utf8) }
  /// Behind a whole object: the next one is another line.
  package mutating func newLine() { bytes.append(0x0A) }
  package mutating func key(_ name: String) {
    if !first { bytes.append(UInt8(ascii: ",")) }
    first = false
    string(name)
    bytes.append(UInt8(ascii: ":"))
  }
  package mutating func field(_ name: String, _ value: String) {
    key(name)
    string(value)
  }
  package mutating func field(_ name: String, _ value: Int64) {
    key(name)
    number(value)
  }
  package mutating func field(_ name: String, _ value: Bool) {
    key(name)
    bytes.append(contentsOf: (value ? "true" : "false").utf8)
  }
  package mutating func field(_ name: String, _ value: [String]) {
    key(name)
    bytes.append(UInt8(ascii: "["))
    for (index, item) in value.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      string(item)
    }
    bytes.append(UInt8(ascii: "]"))
  }
  /// A string of parts that need no escape, `prefix-a-b`.
  package mutating func field(_ name: String, id prefix: String, _ a: Int64, _ b: UInt64) {
    key(name)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: prefix.utf8)
    bytes.append(UInt8(ascii: "-"))
    number(a)
    bytes.append(UInt8(ascii: "-"))
    digits(b)
    bytes.append(UInt8(ascii: "\""))
  }
  /// Nanoseconds since 1970 as RFC 3339.
  package mutating func field(_ name: String, time nanoseconds: UInt64) {
    key(name)
    let now = nanoseconds / 1_000_000_000
    if now != second || secondText.isEmpty {
      // Without the nine digits and the Z.
      secondText = Array(rfc3339(now * 1_000_000_000).utf8.dropLast(10))
      second = now
    }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: secondText)
    var rest = nanoseconds % 1_000_000_000
    var divisor: UInt64 = 100_000_000
    while divisor > 0 {
      bytes.append(0x30 + UInt8(truncatingIfNeeded: rest / divisor))
      rest %= divisor
      divisor /= 10
    }
    bytes.append(UInt8(ascii: "Z"))
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func number(_ value: Int64) {
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    digits(value.magnitude)
  }

  private mutating func digits(_ value: UInt64) {
    let start = bytes.count
    var rest = value
    repeat {
      bytes.append(0x30 + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    bytes[start...].reverse()
  }

  private mutating func string(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    defer { bytes.append(UInt8(ascii: "\"")) }
    // Nearly every text needs no escape and goes in as one copy.
    if Self.isPlain(text.utf8.span) {
      bytes.append(contentsOf: text.utf8)
      return
    }
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0x0A: bytes.append(contentsOf: [0x5C, 0x6E])
      case 0x09: bytes.append(contentsOf: [0x5C, 0x74])
      case 0x0D: bytes.append(contentsOf: [0x5C, 0x72])
      case 0..<0x20, 0x7F:
        bytes.append(contentsOf: [0x5C, 0x75, 0x30, 0x30, hex(byte >> 4), hex(byte & 15)])
      default: bytes.append(byte)
      }
    }
  }

  private static func isPlain(_ text: borrowing Span<UInt8>) -> Bool {
    for index in text.indices {
      let byte = text[index]
      if byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F { return false }
    }
    return true
  }

  private func hex(_ digit: UInt8) -> UInt8 { digit < 10 ? 0x30 + digit : 0x57 + digit }
}
