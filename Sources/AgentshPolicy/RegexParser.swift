/// A regular expression, parsed.
indirect enum RegexNode: Equatable, Sendable {
  case empty
  case set(ScalarSet)
  case assertion(RegexAssertion)
  case sequence([RegexNode])
  case either([RegexNode])
  /// `maximum` nil: no bound.
  case repeated(RegexNode, minimum: Int, maximum: Int?)
}

enum RegexAssertion: UInt8, Sendable {
  case beginText, endText, beginLine, endLine, wordBoundary, notWordBoundary
}

/// Reads RE2's syntax. What is missing is an error: `\C`, scripts as `\p{Greek}`, and what RE2 has not either
/// (back-references, looking around, possessive operators).
struct RegexParser {
  struct Flags {
    var ignoresCase = false
    var multiline = false
    var dotMatchesNewline = false
  }

  /// RE2's own limit.
  static let maximumRepeat = 1000
  static let maximumDepth = 100

  let scalars: [Unicode.Scalar]
  var index = 0
  var flags = Flags()

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  mutating func parse() throws(PatternError) -> RegexNode {
    let node = try either(depth: 0)
    if index < scalars.count { throw error("unexpected )") }
    return node
  }

  var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  func startsWith(_ text: String) -> Bool { scalars[index...].starts(with: text.unicodeScalars) }

  func error(_ cause: String, at position: Int? = nil) -> PatternError {
    PatternError(offset: scalars[..<(position ?? index)].reduce(0) { $0 + UTF8.width($1) }, cause: cause)
  }

  private mutating func either(depth: Int) throws(PatternError) -> RegexNode {
    if depth > Self.maximumDepth { throw error("groups nested deeper than \(Self.maximumDepth)") }
    var choices: [RegexNode] = []
    while true {
      try choices.append(sequence(depth: depth))
      if peek != "|" { break }
      index += 1
    }
    return choices.count == 1 ? choices[0] : .either(choices)
  }

  private mutating func sequence(depth: Int) throws(PatternError) -> RegexNode {
    var nodes: [RegexNode] = []
    while let scalar = peek, scalar != "|", scalar != ")" {
      if startsWith("\\Q") {
        nodes += quoted()
        if let last = nodes.popLast() { try nodes.append(repetition(of: last)) }
      } else if startsWith("(?"), try setFlags() {
        try refuseRepetition()
      } else {
        let atom = try atom(depth: depth)
        try nodes.append(repetition(of: atom))
      }
    }
    return nodes.isEmpty ? .empty : nodes.count == 1 ? nodes[0] : .sequence(nodes)
  }

  /// `(?flags)`, which holds to the end of the group. false: another kind of group.
  private mutating func setFlags() throws(PatternError) -> Bool {
    guard let end = scalars[index...].firstIndex(of: ")") else { throw error("( without )") }
    let body = scalars[(index + 2)..<end]
    if body.isEmpty || body.contains(where: { !"imsU-".unicodeScalars.contains($0) }) { return false }
    flags = try flags(from: body, at: index + 2)
    index = end + 1
    return true
  }

  private func flags(from body: ArraySlice<Unicode.Scalar>, at start: Int) throws(PatternError) -> Flags {
    var result = flags
    var value = true
    var named = false
    for (offset, scalar) in body.enumerated() {
      switch scalar {
      case "i": result.ignoresCase = value
      case "m": result.multiline = value
      case "s": result.dotMatchesNewline = value
      case "U": break  // greed does not change whether something matches
      case "-" where value: value = false
      default: throw error("unknown flag", at: start + offset)
      }
      named = scalar != "-"
    }
    if !named { throw error("missing flag", at: start) }
    return result
  }

  private mutating func atom(depth: Int) throws(PatternError) -> RegexNode {
    guard let scalar = peek else { return .empty }
    switch scalar {
    case "(": return try group(depth: depth)
    case "[": return try .set(bracket())
    case "*", "+", "?", "{":
      try refuseRepetition()
      index += 1
      return literal(scalar)
    case ".":
      index += 1
      return .set(flags.dotMatchesNewline ? .all : ScalarSet([10...10]).complement)
    case "^":
      index += 1
      return .assertion(flags.multiline ? .beginLine : .beginText)
    case "$":
      index += 1
      return .assertion(flags.multiline ? .endLine : .endText)
    case "\\": return try escape()
    default:
      index += 1
      return literal(scalar)
    }
  }

  func literal(_ scalar: Unicode.Scalar) -> RegexNode {
    let set = ScalarSet([scalar.value...scalar.value])
    return .set(flags.ignoresCase ? set.ignoringCase : set)
  }

  private mutating func quoted() -> [RegexNode] {
    index += 2
    var nodes: [RegexNode] = []
    while let scalar = peek {
      if startsWith("\\E") {
        index += 2
        break
      }
      nodes.append(literal(scalar))
      index += 1
    }
    return nodes
  }

  private mutating func group(depth: Int) throws(PatternError) -> RegexNode {
    let start = index
    let outer = flags
    index += 1
    if peek == "?" { try groupKind(start: start) }
    let node = try either(depth: depth + 1)
    if peek != ")" { throw error("( without )", at: start) }
    index += 1
    flags = outer
    return node
  }

  /// After `(`: `?:`, `?flags:`, `?P<name>` or `?<name>`.
  private mutating func groupKind(start: Int) throws(PatternError) {
    for (prefix, cause) in [
      ("?=", "lookahead"), ("?!", "lookahead"), ("?<=", "lookbehind"), ("?<!", "lookbehind"),
    ]
    where startsWith(prefix) { throw error("\(cause) is not supported", at: start) }
    if startsWith("?P<") || startsWith("?<") {
      guard let end = scalars[index...].firstIndex(of: ">") else { throw error("bad group name", at: start) }
      let name = scalars[((scalars[index + 1] == "P" ? 3 : 2) + index)..<end]
      let isWord = { (scalar: Unicode.Scalar) in
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
      }
      if name.isEmpty || !name.allSatisfy(isWord) { throw error("bad group name", at: start) }
      index = end + 1
      return
    }
    guard let end = scalars[index...].firstIndex(of: ":") else {
      throw error("unknown kind of group", at: start)
    }
    let body = scalars[(index + 1)..<end]
    if !body.allSatisfy({ "imsU-".unicodeScalars.contains($0) }) {
      throw error("unknown kind of group", at: start)
    }
    if !body.isEmpty { flags = try flags(from: body, at: index + 1) }
    index = end + 1
  }

  /// `*`, `+`, `?`, `{n,m}` and their lazy forms after an atom.
  private mutating func repetition(of atom: RegexNode) throws(PatternError) -> RegexNode {
    let start = index
    guard let bounds = try repeatBounds() else { return atom }
    if peek == "?" { index += 1 }
    let end = index
    if try repeatBounds() != nil { throw error("repeated repetition operator", at: end) }
    index = end
    let result = RegexNode.repeated(atom, minimum: bounds.minimum, maximum: bounds.maximum)
    if result.repeatCount > Self.maximumRepeat {
      throw error("repetition above \(Self.maximumRepeat)", at: start)
    }
    return result
  }

  /// Where there is nothing to repeat. RE2 repeats what stands before `(?i)`, which nobody means.
  private mutating func refuseRepetition() throws(PatternError) {
    let start = index
    if try repeatBounds() != nil { throw error("nothing to repeat", at: start) }
  }

  private mutating func repeatBounds() throws(PatternError) -> (minimum: Int, maximum: Int?)? {
    switch peek {
    case "*":
      index += 1
      return (0, nil)
    case "+":
      index += 1
      return (1, nil)
    case "?":
      index += 1
      return (0, 1)
    case "{": return try counted()
    default: return nil
    }
  }

  /// `{n}`, `{n,}`, `{n,m}`; anything else that begins with a brace is literal.
  private mutating func counted() throws(PatternError) -> (minimum: Int, maximum: Int?)? {
    let start = index
    index += 1
    guard let minimum = number() else {
      index = start
      return nil
    }
    var maximum: Int? = minimum
    if peek == "," {
      index += 1
      maximum = peek == "}" ? nil : number()
      if maximum == nil, peek != "}" {
        index = start
        return nil
      }
    }
    if peek != "}" {
      index = start
      return nil
    }
    index += 1
    if minimum > Self.maximumRepeat || maximum ?? 0 > Self.maximumRepeat || minimum > maximum ?? .max {
      throw error("bad repetition count", at: start)
    }
    return (minimum, maximum)
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let scalar = peek, ("0"..."9").contains(scalar) {
      value = min((value ?? 0) * 10 + Int(scalar.value - 48), 1_000_000)
      index += 1
    }
    return value
  }
}

extension RegexNode {
  /// How often the innermost part is written out, counting only bounded repetition, as RE2 does.
  var repeatCount: Int {
    switch self {
    case .empty, .set, .assertion: return 1
    case .sequence(let nodes), .either(let nodes): return nodes.map(\.repeatCount).max() ?? 1
    case .repeated(let node, let minimum, let maximum):
      let factor = max(minimum, maximum ?? 0)
      return node.repeatCount * max(factor, 1)
    }
  }
}
