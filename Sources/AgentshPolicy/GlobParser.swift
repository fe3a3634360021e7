/// Reads a glob's text into sequences without braces.
struct GlobParser {
  typealias Element = GlobPattern.Element

  private let scalars: [Unicode.Scalar]
  private var index = 0
  private let ignoringCase: Bool

  init(_ text: String, ignoringCase: Bool) {
    scalars = Array(text.unicodeScalars)
    self.ignoringCase = ignoringCase
  }

  mutating func parse() throws(PatternError) -> [[Element]] {
    if scalars.isEmpty { throw error("empty pattern") }
    return try sequence(depth: 0)
  }

  /// Up to the end, or to the `,` or `}` of the brace around it.
  private mutating func sequence(depth: Int) throws(PatternError) -> [[Element]] {
    var result: [[Element]] = [[]]
    while index < scalars.count {
      let scalar = scalars[index]
      switch scalar {
      case "}":
        if depth == 0 { throw error("} without {; write \\} for the character") }
        return result
      case "," where depth > 0:
        return result
      case "{":
        result = try product(result, brace(depth: depth + 1))
      case "[":
        result = try product(result, set())
      case "*":
        result = try product(result, [[stars()]])
      case "?":
        index += 1
        result = try product(result, [[.begin(.notSlash, thenAnyContinuation: true)]])
      case "\\":
        index += 1
        if index == scalars.count { throw error("backslash at the end") }
        result = try product(result, literal())
      default:
        result = try product(result, literal())
      }
    }
    if depth > 0 { throw error("{ without }") }
    return result
  }

  private mutating func stars() -> Element {
    let start = index
    while index < scalars.count, scalars[index] == "*" { index += 1 }
    return index - start > 1 ? .anyBytes : .componentBytes
  }

  private mutating func literal() -> [[Element]] {
    let scalar = scalars[index]
    index += 1
    if ignoringCase, scalar.isASCII {
      let set = ByteSet(UInt8(truncatingIfNeeded: scalar.value)).ignoringCase
      return [[.begin(set, thenAnyContinuation: false)]]
    }
    return [String(Character(scalar)).utf8.map(GlobPattern.literal)]
  }

  private mutating func brace(depth: Int) throws(PatternError) -> [[Element]] {
    if depth > 16 { throw error("braces nested deeper than 16") }
    var result: [[Element]] = []
    repeat {
      index += 1
      result += try sequence(depth: depth)
      try limit(result)
    } while index < scalars.count && scalars[index] == ","
    index += 1
    return result
  }

  private mutating func set() throws(PatternError) -> [[Element]] {
    let start = index
    index += 1
    let negated = index < scalars.count && (scalars[index] == "!" || scalars[index] == "^")
    if negated { index += 1 }
    var members = ScalarSet()
    var isFirst = true
    while true {
      if index == scalars.count { throw PatternError(offset: offset(start), cause: "[ without ]") }
      if scalars[index] == "]", !isFirst { break }
      if scalars[index] == "[", index + 1 < scalars.count, scalars[index + 1] == ":" {
        throw error("named sets as [:alpha:] are not supported")
      }
      isFirst = false
      try members.insert(setRange())
    }
    index += 1
    if ignoringCase { members.foldASCII() }
    let set = (negated ? members.complement : members).subtracting(ScalarSet([0x2F...0x2F]))
    if set.isEmpty { throw PatternError(offset: offset(start), cause: "a set that matches nothing") }
    return set.byteSequences.map(Self.elements)
  }

  private mutating func setRange() throws(PatternError) -> ClosedRange<UInt32> {
    let low = try setMember()
    guard index + 1 < scalars.count, scalars[index] == "-", scalars[index + 1] != "]" else {
      return low...low
    }
    index += 1
    let high = try setMember()
    if high < low { throw error("a range that ends before it begins") }
    return low...high
  }

  private mutating func setMember() throws(PatternError) -> UInt32 {
    if scalars[index] == "\\" { index += 1 }
    if index == scalars.count { throw error("[ without ]") }
    index += 1
    return scalars[index - 1].value
  }

  private static func elements(_ sequence: ByteSequence) -> [Element] {
    var result: [Element] = []
    for (index, set) in sequence.sets.enumerated() {
      let element = Element.begin(set, thenAnyContinuation: sequence.thenAnyContinuation)
      result.append(index == 0 ? element : .proceed(set))
    }
    if sequence.mayBeTruncated { result.append(.endTruncated) }
    return result
  }

  private func product(_ a: [[Element]], _ b: [[Element]]) throws(PatternError) -> [[Element]] {
    if b.count == 1 { return a.map { $0 + b[0] } }
    if a.count * b.count > GlobPattern.maximumAlternatives { try limit(a, times: b.count) }
    return a.flatMap { head in b.map { head + $0 } }
  }

  private func limit(_ result: [[Element]], times: Int = 1) throws(PatternError) {
    if result.count * times > GlobPattern.maximumAlternatives {
      throw error("more than \(GlobPattern.maximumAlternatives) alternatives")
    }
  }

  private func error(_ cause: String) -> PatternError { PatternError(offset: offset(index), cause: cause) }

  /// In bytes of the text.
  private func offset(_ index: Int) -> Int { scalars[..<index].reduce(0) { $0 + UTF8.width($1) } }
}

extension ScalarSet {
  /// With each ASCII letter also its other case.
  mutating func foldASCII() {
    for lower: UInt32 in 0x61...0x7A where contains(lower) != contains(lower - 32) {
      insert(lower...lower)
      insert((lower - 32)...(lower - 32))
    }
  }
}
