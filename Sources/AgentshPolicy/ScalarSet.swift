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

  func contains(_ scalar: UInt32) -> Bool {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].lowerBound <= scalar
  }

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
    var first = ByteSet()
    for range in ranges where range.lowerBound < 0x80 {
      first = first.union(ByteSet(UInt8(range.lowerBound)...UInt8(min(range.upperBound, 0x7F))))
    }
    if !includesInvalid {
      let long = ranges.filter { $0.upperBound >= 0x80 }.map { max($0.lowerBound, 0x80)...$0.upperBound }
      return (first.isEmpty ? [] : [ByteSequence(sets: [first])]) + Self.sequences(long)
    }
    // Where all characters that begin with a byte are in the set, whatever follows it is; so with stray bytes.
    first = first.union(ByteSet(0x80...0xC1)).union(ByteSet(0xF5...0xFF))
    var partial: [ByteSequence] = []
    for lead: UInt8 in 0xC2...0xF4 {
      let scalars = Self.scalars(lead)
      let inside = ranges.filter { $0.overlaps(scalars) }.map { $0.clamped(to: scalars) }
      if inside == [scalars] {
        first.insert(lead)
      } else {
        partial += Self.sequences(inside) + Self.truncated(lead)
      }
    }
    return [ByteSequence(sets: [first], thenAnyContinuation: true)] + partial
  }

  /// The scalars whose spelling begins with `lead`.
  private static func scalars(_ lead: UInt8) -> ClosedRange<UInt32> {
    let bits = UInt32(lead)
    return switch lead {
    case 0xE0: 0x800...0xFFF
    case 0xED: 0xD000...0xD7FF
    case 0xF0: 0x1_0000...0x3_FFFF
    case 0xF4: 0x10_0000...0x10_FFFF
    case 0xE1...0xEF: ((bits & 0xF) << 12)...((bits & 0xF) << 12 | 0xFFF)
    case 0xF1...0xF3: ((bits & 7) << 18)...((bits & 7) << 18 | 0x3_FFFF)
    default: ((bits & 0x1F) << 6)...((bits & 0x1F) << 6 | 0x3F)
    }
  }

  /// What begins with `lead` and ends too early. It may match the beginning of a valid character, too, but then what
  /// comes next is a byte that continues, and no pattern goes on with one (`GlobPattern.splitTruncated`).
  private static func truncated(_ lead: UInt8) -> [ByteSequence] {
    let tail = ByteSet(0x80...0xBF)
    let longest = lead < 0xE0 ? 0 : lead < 0xF0 ? 1 : 2
    return (0...longest).map {
      ByteSequence(sets: [ByteSet(lead)] + Array(repeating: tail, count: $0), mayBeTruncated: true)
    }
  }

  private static func sequences(_ ranges: [ClosedRange<UInt32>]) -> [ByteSequence] {
    var all: [ByteSequence] = []
    for range in ranges { split(range.lowerBound, range.upperBound, into: &all) }
    var merged: [ByteSequence] = []
    for next in all {
      if let last = merged.last, last.sets.count == next.sets.count,
        last.sets.dropLast() == next.sets.dropLast(),
        let (a, b) = last.sets.last.flatMap({ a in next.sets.last.map { (a, $0) } })
      {
        merged[merged.count - 1].sets[last.sets.count - 1] = a.union(b)
      } else {
        merged.append(next)
      }
    }
    return merged
  }

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
