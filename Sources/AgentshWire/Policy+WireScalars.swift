package import AgentshPolicy

extension Verdict: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.byte(rawValue) }

  package init(from reader: inout WireReader) throws(WireError) {
    let known: Verdict = try reader.choice("decision")
    self = known
  }
}

extension SignalTarget: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.byte(rawValue) }

  package init(from reader: inout WireReader) throws(WireError) {
    let known: SignalTarget = try reader.choice("signal target")
    self = known
  }
}

/// A bit that this side does not know is an error: it would be an operation that nobody decides on.
extension FileOperations: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.integer(rawValue) }

  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    self.init(rawValue: try reader.integer(UInt32.self))
    guard isSubset(of: .all) else { throw .badValue(offset: at, what: "file operations") }
  }
}

extension SocketOperations: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.byte(rawValue) }

  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    self.init(rawValue: try reader.byte())
    guard isSubset(of: .all) else { throw .badValue(offset: at, what: "socket operations") }
  }
}

/// One byte 4 or 6, then the address as one number or two (high, low), then one byte prefix length.
extension AddressRange: WireCodable {
  package func encode(to writer: inout WireWriter) {
    switch base {
    case .v4(let address):
      writer.byte(4)
      writer.integer(address)
    case .v6(let high, let low):
      writer.byte(6)
      writer.integer(high)
      writer.integer(low)
    }
    writer.byte(bits)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    let limit: UInt8
    let base: IPAddress
    switch try reader.byte() {
    case 4:
      base = .v4(try reader.integer(UInt32.self))
      limit = 32
    case 6:
      let high = try reader.integer(UInt64.self)
      base = .v6(high: high, low: try reader.integer(UInt64.self))
      limit = 128
    default: throw .badValue(offset: at, what: "address family")
    }
    let bits = try reader.byte()
    guard bits <= limit else { throw .badValue(offset: at, what: "prefix length") }
    self.init(base: base, bits: bits)
  }
}

/// A count, then key and value, keys ascending by bytes: one map has one byte form. A key out of order is an error.
extension Dictionary: WireCodable where Key == String, Value == String {
  package func encode(to writer: inout WireWriter) {
    writer.integer(UInt32(count))
    for (key, value) in sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      writer.value(key)
      writer.value(value)
    }
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let length = try reader.count(each: 8)
    self.init()
    var before: String?
    for _ in 0..<length {
      let at = reader.offset
      let key = try reader.value(String.self)
      let isAscending = before.map { $0.utf8.lexicographicallyPrecedes(key.utf8) } ?? true
      // Two forms of one text are one key.
      guard isAscending, updateValue(try reader.value(), forKey: key) == nil else {
        throw .badValue(offset: at, what: "key out of order")
      }
      before = key
    }
  }
}
