/// A set of Unicode scalar values as sorted, disjoint ranges.
struct ScalarSet: Equatable, Sendable {
  private(set) var ranges: [ClosedRange<UInt32>] = []
  /// Bytes that are not UTF-8 are in the set: true for complements.
  var includesInvalid = false

  init() {}
  init(_ ranges: [ClosedRange<UInt32>]) {
    self.ranges = ranges
    normalize()
  }

  static let maximum: UInt32 = 0x10FFFF
  static let all = ScalarSet([0...maximum]).withInvalid

  private var withInvalid: ScalarSet {
    var result = self
    result.includesInvalid = true
    return result
  }

  var isEmpty: Bool { ranges.isEmpty && !includesInvalid }

  func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

  mutating func insert(_ range: ClosedRange<UInt32>) {
    ranges.append(range)
    normalize()
  }

  mutating func formUnion(_ other: ScalarSet) {
    ranges += other.ranges
    includesInvalid = includesInvalid || other.includesInvalid
    normalize()
  }

  var complement: ScalarSet {
    var result = ScalarSet()
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.ranges.append(next...(range.lowerBound - 1)) }
      next = range.upperBound + 1
    }
    if next <= Self.maximum { result.ranges.append(next...Self.maximum) }
    result.includesInvalid = !includesInvalid
    return result
  }

  func subtracting(_ other: ScalarSet) -> ScalarSet {
    var result = complement
    result.formUnion(other)
    result = result.complement
    result.includesInvalid = includesInvalid && !other.includesInvalid
    return result
  }

  private mutating func normalize() {
    ranges.sort { $0.lowerBound < $1.lowerBound }
    var merged: [ClosedRange<UInt32>] = []
    for range in ranges {
      if let last = merged.last, range.lowerBound <= last.upperBound + 1 {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    ranges = merged
  }
}

/// One way to spell a character of a set: a set for the byte that begins it and one for each that continues it, or
/// `thenAnyContinuation`, when whatever continues it is welcome.
struct ByteSequence: Equatable, Sendable {
  var sets: [ByteSet]
  var thenAnyContinuation = false
  /// Bytes that are not UTF-8: the character ends here although its first byte may promise more.
  var mayBeTruncated = false
}

extension ScalarSet {
  /// All spellings, few: what agrees in its bytes is one sequence.
  var byteSequences: [ByteSequence] {
    var result: [ByteSequence] = []
    var first = ByteSet()
    for range in ranges where range.lowerBound < 0x80 {
      first = first.union(ByteSet(UInt8(range.lowerBound)...UInt8(min(range.upperBound, 0x7F))))
    }
    if includesInvalid, ranges.last.map({ $0.lowerBound <= 0x80 && $0.upperBound == Self.maximum }) ?? false {
      return [ByteSequence(sets: [first.union(ByteSet(0x80...0xFF))], thenAnyContinuation: true)]
    }
    if !first.isEmpty { result.append(ByteSequence(sets: [first])) }
    for range in ranges where range.upperBound >= 0x80 {
      Self.split(max(range.lowerBound, 0x80), range.upperBound, into: &result)
    }
    if includesInvalid { result += Self.invalidSequences }
    return result
  }

  /// Bytes that are not UTF-8, as characters (see `UTF8Position`). What begins a valid character matches here only
  /// when nothing continues it, because whatever follows a character begins with a byte that does not continue.
  private static let invalidSequences: [ByteSequence] = {
    let tail = ByteSet(0x80...0xBF)
    return [
      ByteSequence(sets: [ByteSet(0x80...0xFF)], mayBeTruncated: true),
      ByteSequence(sets: [ByteSet(0xE0...0xF4), tail], mayBeTruncated: true),
      ByteSequence(sets: [ByteSet(0xF0...0xF4), tail, tail], mayBeTruncated: true),
    ]
  }()

  /// Splits a range of scalars of two to four bytes so that each part is a product of byte ranges.
  private static func split(_ low: UInt32, _ high: UInt32, into result: inout [ByteSequence]) {
    if low > high { return }
    for bound: UInt32 in [0x7FF, 0xD7FF, 0xDFFF, 0xFFFF] where low <= bound && high > bound {
      split(low, bound, into: &result)
      return split(bound + 1, high, into: &result)
    }
    if (0xD800...0xDFFF).contains(low) { return }  // surrogates have no spelling
    for shift: UInt32 in [6, 12, 18] {
      let mask = (UInt32(1) << shift) - 1
      if low & ~mask == high & ~mask { break }
      if low & mask != 0 {
        split(low, low | mask, into: &result)
        return split((low | mask) + 1, high, into: &result)
      }
      if high & mask != mask {
        split(low, (high & ~mask) - 1, into: &result)
        return split(high & ~mask, high, into: &result)
      }
    }
    let sets = zip(encode(low), encode(high)).map { ByteSet($0...$1) }
    result.append(ByteSequence(sets: sets))
  }

  private static func encode(_ scalar: UInt32) -> [UInt8] {
    guard let scalar = Unicode.Scalar(scalar) else { return [] }
    return Array(String(Character(scalar)).utf8)
  }
}
