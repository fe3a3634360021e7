extension IPAddress {
  /// Sixteen bytes of an IPv6 address as two numbers; one that maps IPv4 becomes `.v4`.
  package init(ipv6High high: UInt64, low: UInt64) {
    if high == 0, low >> 32 == 0xFFFF {
      self = .v4(UInt32(truncatingIfNeeded: low))
    } else {
      self = .v6(high: high, low: low)
    }
  }

  /// Reads `192.0.2.1` or any IPv6 form of RFC 4291; nil for anything else (no zone, no leading zeros in IPv4, no
  /// octal, no missing parts). inet_pton(3).
  package init?(parsing text: some StringProtocol) {
    let bytes = Array(text.utf8)
    if bytes.contains(UInt8(ascii: ":")) {
      guard let (high, low) = Self.parseIPv6(bytes[...]) else { return nil }
      self.init(ipv6High: high, low: low)
    } else {
      guard let value = Self.parseIPv4(bytes[...]) else { return nil }
      self = .v4(value)
    }
  }

  private static func parseIPv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    if parts.count != 4 { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let number = decimal(part, upTo: 255) else { return nil }
      value = value << 8 | UInt32(number)
    }
    return value
  }

  /// A number without leading zeros.
  static func decimal(_ digits: ArraySlice<UInt8>, upTo maximum: Int) -> Int? {
    if digits.isEmpty || digits.count > 9 || (digits.count > 1 && digits.first == UInt8(ascii: "0")) {
      return nil
    }
    var value = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      value = value * 10 + Int(digit - UInt8(ascii: "0"))
    }
    return value <= maximum ? value : nil
  }

  private static func parseIPv6(_ bytes: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
    let text = Array(bytes)
    let colon = UInt8(ascii: ":")
    let gap = text.indices.dropLast().first { text[$0] == colon && text[$0 + 1] == colon }
    let groups: [UInt16]
    if let gap {
      guard let head = parseGroups(text[..<gap], mayEndInIPv4: false),
        let tail = parseGroups(text[(gap + 2)...], mayEndInIPv4: true), head.count + tail.count <= 7
      else { return nil }
      groups = head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
    } else {
      guard let all = parseGroups(text[...], mayEndInIPv4: true), all.count == 8 else { return nil }
      groups = all
    }
    func number(_ part: ArraySlice<UInt16>) -> UInt64 { part.reduce(0) { $0 << 16 | UInt64($1) } }
    return (number(groups[..<4]), number(groups[4...]))
  }

  private static func parseGroups(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> [UInt16]? {
    if text.isEmpty { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if mayEndInIPv4, index + 1 == parts.count, part.contains(UInt8(ascii: ".")) {
        guard let value = parseIPv4(part) else { return nil }
        groups += [UInt16(truncatingIfNeeded: value >> 16), UInt16(truncatingIfNeeded: value)]
      } else {
        guard (1...4).contains(part.count), let value = hexadecimal(part) else { return nil }
        groups.append(value)
      }
    }
    return groups.count <= 8 ? groups : nil
  }

  private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt16? {
    var value: UInt16 = 0
    for digit in digits {
      guard digit < 0x80, let nibble = Character(Unicode.Scalar(digit)).hexDigitValue else { return nil }
      value = value << 4 | UInt16(nibble)
    }
    return value
  }
}

extension IPAddress: CustomStringConvertible {
  /// Dotted, or the form of RFC 5952: lower case, the longest run of zero groups as `::`. inet_ntop(3).
  package var description: String {
    switch self {
    case .v4(let value):
      return [24, 16, 8, 0].map { String(value >> UInt32($0) & 255) }.joined(separator: ".")
    case .v6(let high, let low):
      let groups = [high, low].flatMap { half in
        [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> UInt64($0)) }
      }
      guard let run = Self.longestZeroRun(groups) else { return Self.join(groups[...]) }
      return Self.join(groups[..<run.lowerBound]) + "::" + Self.join(groups[run.upperBound...])
    }
  }

  private static func join(_ groups: ArraySlice<UInt16>) -> String {
    groups.map { String($0, radix: 16) }.joined(separator: ":")
  }

  /// Two groups or more, the first of equally long ones.
  private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
    var best: Range<Int>?
    var start = 0
    for index in 0...groups.count {
      if index < groups.count, groups[index] == 0 { continue }
      if index - start >= 2, index - start > best?.count ?? 0 { best = start..<index }
      start = index + 1
    }
    return best
  }
}

extension AddressRange {
  /// Reads `10.0.0.0/8` or `fd00::/8`; bits after the prefix are cleared. `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
  /// nil without a prefix length or with one that is too long.
  package init?(parsing text: some StringProtocol) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPAddress(parsing: parts[0]) else { return nil }
    let isIPv6Text = parts[0].utf8.contains(UInt8(ascii: ":"))
    let digits = Array(parts[1].utf8)
    guard var bits = IPAddress.decimal(digits[...], upTo: isIPv6Text ? 128 : 32) else { return nil }
    var base = address
    if isIPv6Text, case .v4(let value) = address {
      if bits >= 96 { bits -= 96 } else { base = .v6(high: 0, low: 0xFFFF_0000_0000 | UInt64(value)) }
    }
    self.init(base: base.prefix(UInt8(truncatingIfNeeded: bits)), bits: UInt8(truncatingIfNeeded: bits))
  }

  /// Whether `address` lies in the range. An IPv6 range never holds an IPv4 address.
  package func contains(_ address: IPAddress) -> Bool {
    switch (base, address) {
    case (.v4, .v4), (.v6, .v6): address.prefix(bits) == base.prefix(bits)
    default: false
    }
  }
}

extension IPAddress {
  /// The address with all but the first `bits` bits cleared.
  func prefix(_ bits: UInt8) -> IPAddress {
    switch self {
    case .v4(let value):
      return .v4(bits == 0 ? 0 : value & (.max << UInt32(32 - min(bits, 32))))
    case .v6(let high, let low):
      if bits == 0 { return .v6(high: 0, low: 0) }
      if bits <= 64 { return .v6(high: high & (.max << UInt64(64 - bits)), low: 0) }
      return .v6(high: high, low: low & (.max << UInt64(128 - min(bits, 128))))
    }
  }

  /// As a destination the unspecified address means this host.
  var asDestination: IPAddress {
    switch self {
    case .v4(0): .v4(0x7F00_0001)
    case .v6(high: 0, low: 0): .v6(high: 0, low: 1)
    default: self
    }
  }

  package var isLoopback: Bool {
    switch self {
    case .v4(let value): value >> 24 == 127
    case .v6(let high, let low): high == 0 && low == 1
    }
  }
}
