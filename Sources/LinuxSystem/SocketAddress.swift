/// What a socket address names. Decoded from bytes that anybody may have written: total, and never past their end.
///
/// The kernel takes some addresses for others (`AF_UNSPEC` on an IPv4 datagram socket is an IPv4 address); that depends
/// on the socket and is decided where the socket is known. `sockaddr(3type)`, `ip(7)`, `ipv6(7)`, `unix(7)`.
package enum SocketAddress: Equatable, Sendable {
  /// AF_UNSPEC: dissolves an association in connect.
  case unspecified
  /// Address and port in host byte order (127.0.0.1 is 0x7f000001).
  case ipv4(UInt32, port: UInt16)
  /// The sixteen bytes as two numbers, most significant first. Flow label and scope stay in the bytes.
  case ipv6(high: UInt64, low: UInt64, port: UInt16)
  /// The family alone: in bind the kernel picks an abstract name.
  case unixUnnamed
  /// The path is `length` bytes from offset 2, without the NUL that may follow.
  case unixPath(length: Int)
  /// The name is `length` bytes from offset 3, behind the leading NUL; it may hold NULs.
  case unixAbstract(length: Int)
  case netlink
  case other(family: UInt16)

  /// Too short for its family, or too long: EINVAL from the kernel.
  package struct Malformed: Error, Equatable, Sendable {}

  /// The longest address the kernel takes: sizeof(struct sockaddr_storage).
  package static let limit = 128
  package static let pathOffset = 2
  /// sizeof(struct sockaddr_un).
  package static let unixLimit = 110
  /// IPv6 addresses without scope, RFC 2133, are still taken.
  private static let shortIPv6 = 24

  /// Decodes at most 128 bytes. Throws `Malformed` where the kernel says EINVAL.
  package init(decoding bytes: Span<UInt8>) throws(Malformed) {
    guard bytes.count >= 2, bytes.count <= Self.limit else { throw Malformed() }
    let family = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
    switch family {
    case 0: self = .unspecified
    case 1: self = try Self.unix(bytes)
    case 2:
      guard let decoded = Self.decodingIPv4(bytes) else { throw Malformed() }
      self = decoded
    case 10:
      guard bytes.count >= Self.shortIPv6 else { throw Malformed() }
      self = .ipv6(
        high: Self.number(bytes, at: 8, count: 8), low: Self.number(bytes, at: 16, count: 8),
        port: UInt16(Self.number(bytes, at: 2, count: 2)))
    case 16: self = .netlink
    default: self = .other(family: family)
    }
  }

  /// The bytes as `struct sockaddr_in`, whatever the family in them says. nil when they are too short.
  package static func decodingIPv4(_ bytes: Span<UInt8>) -> SocketAddress? {
    guard bytes.count >= 16 else { return nil }
    return .ipv4(UInt32(number(bytes, at: 4, count: 4)), port: UInt16(number(bytes, at: 2, count: 2)))
  }

  private static func unix(_ bytes: Span<UInt8>) throws(Malformed) -> SocketAddress {
    guard bytes.count <= unixLimit else { throw Malformed() }
    if bytes.count == pathOffset { return .unixUnnamed }
    if bytes[pathOffset] == 0 { return .unixAbstract(length: bytes.count - pathOffset - 1) }
    var end = pathOffset
    while end < bytes.count, bytes[end] != 0 { end += 1 }
    return .unixPath(length: end - pathOffset)
  }

  /// Big-endian. The caller has checked that the bytes are there.
  private static func number(_ bytes: Span<UInt8>, at offset: Int, count: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in offset..<(offset + count) { value = value << 8 | UInt64(bytes[index]) }
    return value
  }

  /// The IPv4 address that an IPv6 address maps (::ffff:a.b.c.d).
  package static func mapped(high: UInt64, low: UInt64) -> UInt32? {
    high == 0 && low >> 32 == 0xFFFF ? UInt32(truncatingIfNeeded: low) : nil
  }
}

extension SocketAddress {
  /// Whether the destination is 0.0.0.0, `::` or ::ffff:0.0.0.0, which Linux takes for this host.
  package var isAny: Bool {
    switch self {
    case .ipv4(let address, _): address == 0
    case .ipv6(let high, let low, _): high == 0 && (low == 0 || low == 0xFFFF_0000_0000)
    default: false
    }
  }

  /// The loopback address that the any-address stands for; others as they are.
  package var withoutAny: SocketAddress {
    guard isAny else { return self }
    switch self {
    case .ipv4(_, let port): return .ipv4(0x7f00_0001, port: port)
    case .ipv6(_, 0, let port): return .ipv6(high: 0, low: 1, port: port)
    case .ipv6(_, _, let port): return .ipv6(high: 0, low: 0xFFFF_7f00_0001, port: port)
    default: return self
    }
  }

  /// Puts this address (IPv4 or IPv6) in the place of the one in `bytes`, which keep port, flow label and scope.
  package func replaceAddress(in bytes: inout PathText, spare: inout PathText) {
    let (offset, count, value): (Int, Int, (UInt64, UInt64))
    switch self {
    case .ipv4(let address, _): (offset, count, value) = (4, 4, (0, UInt64(address)))
    case .ipv6(let high, let low, _): (offset, count, value) = (8, 16, (high, low))
    default: return
    }
    guard bytes.count >= offset + count else { return }
    spare.removeAll()
    for index in 0..<bytes.count {
      let place = count - 1 - (index - offset)
      if index < offset || place < 0 {
        spare.append(bytes[index])
      } else {
        let half = place < 8 ? value.1 : value.0
        spare.append(UInt8(truncatingIfNeeded: half >> UInt64(place % 8 * 8)))
      }
    }
    bytes.removeAll()
    bytes.append(spare)
  }

  /// Writes `address:port`, IPv6 in brackets as RFC 5952 has it. IPv4-mapped addresses are written as IPv4.
  package func write(to text: inout PathText) {
    switch self {
    case .ipv4(let address, let port):
      Self.writeIPv4(address, to: &text)
      Self.write(port: port, to: &text)
    case .ipv6(let high, let low, let port):
      if let address = Self.mapped(high: high, low: low) {
        Self.writeIPv4(address, to: &text)
      } else {
        text.append(UInt8(ascii: "["))
        Self.writeIPv6(high, low, to: &text)
        text.append(UInt8(ascii: "]"))
      }
      Self.write(port: port, to: &text)
    default: break
    }
  }

  private static func write(port: UInt16, to text: inout PathText) {
    text.append(UInt8(ascii: ":"))
    write(UInt32(port), base: 10, to: &text)
  }

  private static func writeIPv4(_ address: UInt32, to text: inout PathText) {
    for index in UInt32(0)..<4 {
      if index > 0 { text.append(UInt8(ascii: ".")) }
      write(address >> (24 - index * 8) & 0xff, base: 10, to: &text)
    }
  }

  /// The longest run of two and more zero groups, the first of equals, becomes `::`.
  private static func writeIPv6(_ high: UInt64, _ low: UInt64, to text: inout PathText) {
    func group(_ index: Int) -> UInt32 {
      UInt32(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64((3 - index % 4) * 16) & 0xffff)
    }
    var (best, bestLength, index) = (8, 1, 0)
    while index < 8 {
      var length = 0
      while index + length < 8, group(index + length) == 0 { length += 1 }
      if length > bestLength { (best, bestLength) = (index, length) }
      index += max(1, length)
    }
    index = 0
    while index < 8 {
      if index == best {
        text.append(UInt8(ascii: ":"))
        text.append(UInt8(ascii: ":"))
        index += bestLength
        continue
      }
      if index > 0, index != best + bestLength || best == 8 { text.append(UInt8(ascii: ":")) }
      write(group(index), base: 16, to: &text)
      index += 1
    }
  }

  private static func write(_ number: UInt32, base: UInt32, to text: inout PathText) {
    if number >= base { write(number / base, base: base, to: &text) }
    let digit = UInt8(number % base)
    text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
  }
}
