/// Bytes of a plan: version (16 bits), mediation (32), degraded (1 byte), capabilities (64), grants (path, 64 bits).
extension LaunchPlan: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(Self.version)
    writer.integer(mediate.rawValue)
    writer.value(allowDegraded)
    writer.integer(keepCapabilities)
    writer.value(landlock)
  }

  /// Reads a plan. Another version and an unknown group of calls are refused: the launcher could not hold them.
  package init(from reader: inout WireReader) throws(WireError) {
    guard try reader.integer(UInt16.self) == Self.version else {
      throw .badValue(offset: 0, what: "plan version")
    }
    let at = reader.offset
    let mediate = Mediation(rawValue: try reader.value())
    guard Mediation.known.isSuperset(of: mediate) else { throw .badValue(offset: at, what: "mediation") }
    let allowDegraded = try reader.value(Bool.self)
    let capabilities = try reader.integer(UInt64.self)
    self.init(
      mediate: mediate, landlock: try reader.value(), allowDegraded: allowDegraded,
      keepCapabilities: capabilities)
  }
}

extension LaunchPlan.Mediation {
  /// Every group that this version knows.
  package static let known: Self = [
    .files, .commands, .sockets, .processes, .identities, .signals, .traced, .stat, .access, .readlink, .list,
    .truncate, .depths, .ptrace, .userNamespaces,
  ]
}

extension LaunchPlan.LandlockGrant: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(path)
    writer.integer(access)
  }

  /// Reads a grant. Its path is absolute and has no NUL: it would mean another file to the kernel.
  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    let path = try reader.value(String.self)
    guard path.utf8.first == UInt8(ascii: "/"), !path.utf8.contains(0) else {
      throw .badValue(offset: at, what: "grant path")
    }
    self.init(path: path, access: try reader.value())
  }
}

extension LaunchPlan {
  /// The kernel takes no environment string over 128 KiB (MAX_ARG_STRLEN); this leaves room for the name.
  ///
  /// `execve(2)`.
  package static let hexLimit = 131_072 - 64

  /// The plan as `AGENTSH_LAUNCH_PLAN` carries it: lower-case hex; nil when it is over `hexLimit`.
  package var hex: String? {
    var writer = WireWriter()
    writer.value(self)
    guard writer.bytes.count * 2 <= Self.hexLimit else { return nil }
    var digits: [UInt8] = []
    digits.reserveCapacity(writer.bytes.count * 2)
    for byte in writer.bytes {
      digits.append(Self.digit(byte >> 4))
      digits.append(Self.digit(byte & 15))
    }
    return String(decoding: digits, as: UTF8.self)
  }

  /// Reads what `hex` wrote. Throws `badValue` for anything but lower-case hex, `tooLong` over `hexLimit`.
  package init(hex: String) throws(WireError) {
    let digits = Array(hex.utf8)
    guard digits.count <= Self.hexLimit else {
      throw .tooLong(offset: 0, length: digits.count, limit: Self.hexLimit)
    }
    guard digits.count.isMultiple(of: 2) else { throw .truncated(offset: digits.count, wanted: 1) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = Self.value(digits[index]), let low = Self.value(digits[index + 1]) else {
        throw .badValue(offset: index, what: "hex digit")
      }
      bytes.append(high << 4 | low)
    }
    var reader = WireReader(bytes)
    try self.init(from: &reader)
    try reader.finish()
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - 0x30
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - 0x57
    default: nil
    }
  }
}
