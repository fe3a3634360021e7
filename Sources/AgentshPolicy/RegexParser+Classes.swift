/// Escapes and bracket expressions.
extension RegexParser {
  mutating func escape() throws(PatternError) -> RegexNode {
    let start = index
    index += 1
    guard let scalar = peek else { throw error("backslash at the end", at: start) }
    switch scalar {
    case "A": return assertion(.beginText)
    case "z": return assertion(.endText)
    case "b": return assertion(.wordBoundary)
    case "B": return assertion(.notWordBoundary)
    case "C": throw error("\\C is not supported", at: start)
    default: break
    }
    if let set = try classEscape() { return .set(set) }
    return try literal(characterEscape(start: start))
  }

  private mutating func assertion(_ kind: RegexAssertion) -> RegexNode {
    index += 1
    return .assertion(kind)
  }

  /// After a backslash: `d`, `s`, `w`, `p` and their complements.
  private mutating func classEscape() throws(PatternError) -> ScalarSet? {
    guard let scalar = peek else { return nil }
    if scalar == "p" || scalar == "P" { return try propertyEscape(negated: scalar == "P") }
    guard let named = Self.perlClasses[Character(scalar.properties.lowercaseMapping)] else { return nil }
    index += 1
    let folded = flags.ignoresCase ? named.ignoringCase : named
    return scalar.properties.isUppercase ? folded.complement : folded
  }

  private static let perlClasses: [Character: ScalarSet] = [
    "d": ScalarSet([0x30...0x39]),
    "s": ScalarSet([9...10, 12...13, 32...32]),
    "w": ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]),
  ]

  private mutating func propertyEscape(negated: Bool) throws(PatternError) -> ScalarSet {
    let start = index - 1
    index += 1
    guard let first = peek else { throw error("missing property name", at: start) }
    var name = String(Character(first))
    index += 1
    if first == "{" {
      guard let end = scalars[index...].firstIndex(of: "}") else { throw error("{ without }", at: start) }
      name = String(String.UnicodeScalarView(scalars[index..<end]))
      index = end + 1
    }
    var isComplement = negated
    if name.hasPrefix("^") {
      isComplement.toggle()
      name.removeFirst()
    }
    guard let set = ScalarSet(generalCategory: name) else {
      throw error("\\p{\(name)} is not supported: only general categories", at: start)
    }
    let folded = flags.ignoresCase ? set.ignoringCase : set
    return isComplement ? folded.complement : folded
  }

  /// After a backslash: one character.
  private mutating func characterEscape(start: Int) throws(PatternError) -> Unicode.Scalar {
    guard let scalar = peek else { throw error("backslash at the end", at: start) }
    index += 1
    switch scalar {
    case "a": return "\u{07}"
    case "f": return "\u{0C}"
    case "t": return "\t"
    case "n": return "\n"
    case "r": return "\r"
    case "v": return "\u{0B}"
    case "x": return try hexadecimalEscape(start: start)
    case "0"..."7": return try octalEscape(first: scalar, start: start)
    case "8", "9": throw error("back-references are not supported", at: start)
    default:
      if !scalar.isASCII || scalar.properties.isAlphabetic {
        throw error("unknown escape \\\(scalar)", at: start)
      }
      return scalar
    }
  }

  /// `\123`, or `\0` and up to two more digits. A lone `\1` would be a back-reference.
  private mutating func octalEscape(first: Unicode.Scalar, start: Int) throws(PatternError) -> Unicode.Scalar
  {
    guard first == "0" || peek.map({ ("0"..."7").contains($0) }) ?? false else {
      throw error("back-references are not supported", at: start)
    }
    var value = first.value - 48
    for _ in 0..<2 {
      guard let digit = peek, ("0"..."7").contains(digit) else { break }
      value = value * 8 + digit.value - 48
      index += 1
    }
    return Unicode.Scalar(value) ?? "\0"
  }

  private mutating func hexadecimalEscape(start: Int) throws(PatternError) -> Unicode.Scalar {
    var digits: [Unicode.Scalar] = []
    if peek == "{" {
      guard let end = scalars[index...].firstIndex(of: "}") else { throw error("{ without }", at: start) }
      digits = Array(scalars[(index + 1)..<end])
      index = end + 1
    } else {
      digits = Array(scalars[index..<min(index + 2, scalars.count)])
      index += digits.count
      if digits.count < 2 { throw error("bad \\x escape", at: start) }
    }
    let areHexadecimal = digits.allSatisfy { $0.isASCII && $0.properties.isASCIIHexDigit }
    guard areHexadecimal, !digits.isEmpty,
      let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw error("bad \\x escape", at: start) }
    return scalar
  }

  // MARK: brackets

  mutating func bracket() throws(PatternError) -> ScalarSet {
    let start = index
    index += 1
    let negated = peek == "^"
    if negated { index += 1 }
    var set = ScalarSet()
    var isFirst = true
    while true {
      guard let scalar = peek else { throw error("[ without ]", at: start) }
      if scalar == "]", !isFirst { break }
      isFirst = false
      if startsWith("[:"), let named = try posixClass() {
        set.formUnion(named)
      } else if scalar == "\\", let named = try bracketClassEscape() {
        set.formUnion(named)
      } else {
        set.formUnion(try bracketRange(start: start))
      }
    }
    index += 1
    // A complement in a set, [^\D], is about characters: what is not UTF-8 is in a set only if the whole is negated.
    set.includesInvalid = false
    return negated ? set.complement : set
  }

  private mutating func bracketClassEscape() throws(PatternError) -> ScalarSet? {
    index += 1
    if let set = try classEscape() { return set }
    index -= 1
    return nil
  }

  private mutating func bracketRange(start: Int) throws(PatternError) -> ScalarSet {
    let rangeStart = index
    let low = try bracketMember(start: start)
    var high = low
    if peek == "-", index + 1 < scalars.count, scalars[index + 1] != "]" {
      index += 1
      high = try bracketMember(start: start)
      if high.value < low.value { throw error("a range that ends before it begins", at: rangeStart) }
    }
    let set = ScalarSet([low.value...high.value])
    return flags.ignoresCase ? set.ignoringCase : set
  }

  private mutating func bracketMember(start: Int) throws(PatternError) -> Unicode.Scalar {
    guard let scalar = peek else { throw error("[ without ]", at: start) }
    index += 1
    return scalar == "\\" ? try characterEscape(start: index - 1) : scalar
  }

  private mutating func posixClass() throws(PatternError) -> ScalarSet? {
    let rest = scalars[(index + 2)...]
    guard let end = rest.firstIndex(of: ":"), end + 1 < scalars.count, scalars[end + 1] == "]" else {
      return nil
    }
    var name = String(String.UnicodeScalarView(scalars[(index + 2)..<end]))
    let negated = name.hasPrefix("^")
    if negated { name.removeFirst() }
    guard let ranges = Self.posixClasses[name] else { throw error("unknown class [:\(name):]") }
    index = end + 2
    var set = ScalarSet(ranges)
    if flags.ignoresCase { set = set.ignoringCase }
    return negated ? set.complement : set
  }

  private static let posixClasses: [String: [ClosedRange<UInt32>]] = [
    "alnum": [0x30...0x39, 0x41...0x5A, 0x61...0x7A], "alpha": [0x41...0x5A, 0x61...0x7A],
    "ascii": [0...0x7F],
    "blank": [9...9, 32...32], "cntrl": [0...31, 127...127], "digit": [0x30...0x39], "graph": [33...126],
    "lower": [0x61...0x7A], "print": [32...126], "punct": [33...47, 58...64, 91...96, 123...126],
    "space": [9...13, 32...32], "upper": [0x41...0x5A],
    "word": [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A],
    "xdigit": [0x30...0x39, 0x41...0x46, 0x61...0x66],
  ]
}
