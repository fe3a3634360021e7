/// A set of byte values, 256 bits.
struct ByteSet: Hashable, Sendable {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init() {}
  init(_ byte: UInt8) { insert(byte) }
  init(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

  static let all = ByteSet(0...255)
  /// Everything but the separator of path components.
  static let notSlash = ByteSet.all.subtracting(ByteSet(UInt8(ascii: "/")))
  static let slash = ByteSet(UInt8(ascii: "/"))

  func contains(_ byte: UInt8) -> Bool {
    let bit = UInt64(1) << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: return words.0 & bit != 0
    case 1: return words.1 & bit != 0
    case 2: return words.2 & bit != 0
    default: return words.3 & bit != 0
    }
  }

  mutating func insert(_ byte: UInt8) {
    let bit = UInt64(1) << UInt64(byte & 63)
    switch byte >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    default: words.3 |= bit
    }
  }

  func subtracting(_ other: ByteSet) -> ByteSet {
    var result = self
    result.words.0 &= ~other.words.0
    result.words.1 &= ~other.words.1
    result.words.2 &= ~other.words.2
    result.words.3 &= ~other.words.3
    return result
  }

  func union(_ other: ByteSet) -> ByteSet {
    var result = self
    result.words.0 |= other.words.0
    result.words.1 |= other.words.1
    result.words.2 |= other.words.2
    result.words.3 |= other.words.3
    return result
  }

  var isEmpty: Bool { words.0 | words.1 | words.2 | words.3 == 0 }

  /// The byte of a set of one.
  var onlyByte: UInt8? {
    let counts = (
      words.0.nonzeroBitCount, words.1.nonzeroBitCount, words.2.nonzeroBitCount, words.3.nonzeroBitCount
    )
    switch counts {
    case (1, 0, 0, 0): return UInt8(words.0.trailingZeroBitCount)
    case (0, 1, 0, 0): return UInt8(64 + words.1.trailingZeroBitCount)
    case (0, 0, 1, 0): return UInt8(128 + words.2.trailingZeroBitCount)
    case (0, 0, 0, 1): return UInt8(192 + words.3.trailingZeroBitCount)
    default: return nil
    }
  }

  /// With each ASCII letter also its other case.
  var ignoringCase: ByteSet {
    var result = self
    for byte in UInt8(ascii: "a")...UInt8(ascii: "z") where contains(byte) || contains(byte - 32) {
      result.insert(byte)
      result.insert(byte - 32)
    }
    return result
  }

  static func == (a: ByteSet, b: ByteSet) -> Bool { a.words == b.words }

  func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}
