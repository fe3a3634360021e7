/// Why bytes from the other side are not what they should be. Offsets count from the start of the payload.
package enum WireError: Error, Equatable, Sendable, CustomStringConvertible {
  case truncated(offset: Int, wanted: Int)
  case tooLong(offset: Int, length: Int, limit: Int)
  case badValue(offset: Int, what: StaticText)
  case trailing(offset: Int, extra: Int)

  package var description: String {
    switch self {
    case .truncated(let offset, let wanted): "ends at byte \(offset), \(wanted) more were due"
    case .tooLong(let offset, let length, let limit):
      "length \(length) at byte \(offset) is over the limit of \(limit)"
    case .badValue(let offset, let what): "bad \(what.text) at byte \(offset)"
    case .trailing(let offset, let extra): "\(extra) bytes too many after byte \(offset)"
    }
  }
}

/// Text known at compile time.
package struct StaticText: ExpressibleByStringLiteral, Equatable, Sendable {
  private let literal: StaticString
  package init(stringLiteral value: StaticString) { literal = value }
  package var text: String { literal.description }
  package static func == (a: StaticText, b: StaticText) -> Bool { a.text == b.text }
}

/// Something with one byte form. Integers are little-endian; strings and arrays carry a 32-bit count before them.
package protocol WireCodable {
  func encode(to writer: inout WireWriter)
  init(from reader: inout WireReader) throws(WireError)
}

extension WireCodable {
  /// What the bytes are, with nothing behind it.
  package init(wire bytes: [UInt8]) throws(WireError) {
    var reader = WireReader(bytes)
    try self.init(from: &reader)
    try reader.finish()
  }

  package var wire: [UInt8] {
    var writer = WireWriter()
    writer.value(self)
    return writer.bytes
  }
}

/// Bytes being written; keeps its storage between frames.
package struct WireWriter: Sendable {
  package private(set) var bytes: [UInt8] = []
  package init() {}
  package mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }
  package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }
  package mutating func byte(_ value: UInt8) { bytes.append(value) }

  // Not generic: records are written on the hot path, and generics across modules are not specialised there.
  package mutating func integer(_ value: UInt8) { bytes.append(value) }
  package mutating func integer(_ value: UInt16) { little(UInt64(value), 2) }
  package mutating func integer(_ value: UInt32) { little(UInt64(value), 4) }
  package mutating func integer(_ value: UInt64) { little(value, 8) }
  package mutating func integer(_ value: Int32) { little(UInt64(UInt32(bitPattern: value)), 4) }
  package mutating func integer(_ value: Int64) { little(UInt64(bitPattern: value), 8) }

  private mutating func little(_ value: UInt64, _ count: Int) {
    var rest = value
    for _ in 0..<count {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    }
  }

  package mutating func raw(_ span: borrowing Span<UInt8>) {
    integer(UInt32(span.count))
    for index in span.indices { bytes.append(span[index]) }
  }

  /// Bytes that are in wire form already.
  package mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }
  package mutating func append(_ more: String.UTF8View) { bytes.append(contentsOf: more) }

  package mutating func value(_ value: some WireCodable) { value.encode(to: &self) }

  /// Puts a 32-bit number over four bytes that were written before.
  package mutating func patch(_ value: UInt32, at offset: Int) {
    for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> UInt32(8 * i)) }
  }
}

/// Bytes being read; every length is checked before anything is allocated for it.
package struct WireReader: Sendable {
  package let bytes: ArraySlice<UInt8>
  package private(set) var offset: Int
  /// No string or array in one frame is longer.
  package static let lengthLimit = 1 << 24

  package init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    offset = 0
  }
  package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

  package var remaining: Int { bytes.count - offset }

  package mutating func byte() throws(WireError) -> UInt8 {
    guard remaining >= 1 else { throw .truncated(offset: offset, wanted: 1) }
    defer { offset += 1 }
    return bytes[bytes.startIndex + offset]
  }

  /// A byte that is one of some words; `what`: what it is, for the error.
  package mutating func choice<Word: RawRepresentable>(_ what: StaticText) throws(WireError) -> Word
  where Word.RawValue == UInt8 {
    let at = offset
    guard let word = Word(rawValue: try byte()) else { throw .badValue(offset: at, what: what) }
    return word
  }

  package mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(WireError) -> T {
    let width = T.bitWidth / 8
    guard remaining >= width else { throw .truncated(offset: offset, wanted: width) }
    var result: T = 0
    for i in 0..<width { result |= T(truncatingIfNeeded: bytes[bytes.startIndex + offset + i]) << T(8 * i) }
    offset += width
    return result
  }

  /// A count of things that take at least `each` bytes.
  package mutating func count(each: Int) throws(WireError) -> Int {
    let at = offset
    let length = Int(try integer(UInt32.self))
    guard length <= Self.lengthLimit else {
      throw .tooLong(offset: at, length: length, limit: Self.lengthLimit)
    }
    guard length * each <= remaining else { throw .truncated(offset: at, wanted: length * each) }
    return length
  }

  package mutating func raw() throws(WireError) -> ArraySlice<UInt8> {
    let length = try count(each: 1)
    let start = bytes.startIndex + offset
    offset += length
    return bytes[start..<(start + length)]
  }

  package mutating func value<T: WireCodable>(_: T.Type = T.self) throws(WireError) -> T {
    try T(from: &self)
  }

  /// Goes over `count` bytes whose value does not matter.
  package mutating func skip(_ count: Int) throws(WireError) {
    guard remaining >= count else { throw .truncated(offset: offset, wanted: count) }
    offset += count
  }

  /// Goes over a string; any bytes are one.
  package mutating func skipText() throws(WireError) { try skip(try count(each: 1)) }

  /// The last call on a payload: nothing may be left.
  package func finish() throws(WireError) {
    if remaining != 0 { throw .trailing(offset: offset, extra: remaining) }
  }
}

extension UInt8: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(self) }
  package init(from reader: inout WireReader) throws(WireError) { self = try reader.integer(UInt8.self) }
}

extension UInt16: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(self) }
  package init(from reader: inout WireReader) throws(WireError) { self = try reader.integer(UInt16.self) }
}

extension UInt32: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(self) }
  package init(from reader: inout WireReader) throws(WireError) { self = try reader.integer(UInt32.self) }
}

extension UInt64: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(self) }
  package init(from reader: inout WireReader) throws(WireError) { self = try reader.integer(UInt64.self) }
}

extension Int32: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(self) }
  package init(from reader: inout WireReader) throws(WireError) { self = try reader.integer(Int32.self) }
}

extension Int64: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(self) }
  package init(from reader: inout WireReader) throws(WireError) { self = try reader.integer(Int64.self) }
}

extension Bool: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.byte(self ? 1 : 0) }
  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    switch try reader.byte() {
    case 0: self = false
    case 1: self = true
    default: throw .badValue(offset: at, what: "boolean")
    }
  }
}

extension String: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(UInt32(utf8.count))
    writer.append(utf8)
  }
  package init(from reader: inout WireReader) throws(WireError) {
    self = String(decoding: try reader.raw(), as: UTF8.self)
  }
}

extension Array: WireCodable where Element: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(UInt32(count))
    for element in self { element.encode(to: &writer) }
  }
  package init(from reader: inout WireReader) throws(WireError) {
    let length = try reader.count(each: 1)
    self.init()
    for _ in 0..<length { append(try Element(from: &reader)) }
  }
}

extension Optional: WireCodable where Wrapped: WireCodable {
  package func encode(to writer: inout WireWriter) {
    if case .some = self { writer.value(true) } else { writer.value(false) }
    if let self { self.encode(to: &writer) }
  }
  package init(from reader: inout WireReader) throws(WireError) {
    self = try reader.value(Bool.self) ? .some(try Wrapped(from: &reader)) : .none
  }
}
