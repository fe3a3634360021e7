/// The glob language once more, as plainly as it can be written: braces are written out, then everything is tried.
struct ReferenceGlob {
  enum Token: Equatable {
    case character([UInt8])
    case any
    case oneOf([ClosedRange<UInt32>], negated: Bool)
    case star
    case doubleStar
  }

  let alternatives: [[Token]]

  init(_ pattern: String) {
    var rest = Array(pattern.unicodeScalars)[...]
    alternatives = Self.sequence(&rest, inBraces: false).map(Self.merged)
  }

  /// `path` divided into characters.
  func matches(_ path: [[UInt8]]) -> Bool { alternatives.contains { Self.match($0[...], path[...]) } }

  // MARK: reading

  private static func sequence(_ rest: inout ArraySlice<Unicode.Scalar>, inBraces: Bool) -> [[Token]] {
    var result: [[Token]] = [[]]
    while let scalar = rest.first, !inBraces || (scalar != "," && scalar != "}") {
      rest.removeFirst()
      var choices: [[Token]] = []
      switch scalar {
      case "{":
        choices = sequence(&rest, inBraces: true)
        while rest.removeFirst() == "," { choices += sequence(&rest, inBraces: true) }
      case "[": choices = [[set(&rest)]]
      case "*":
        if rest.first == "*" {
          while rest.first == "*" { rest.removeFirst() }
          choices = [[.doubleStar]]
        } else {
          choices = [[.star]]
        }
      case "?": choices = [[.any]]
      case "\\": choices = [[.character(Array(String(rest.removeFirst()).utf8))]]
      default: choices = [[.character(Array(String(scalar).utf8))]]
      }
      result = result.flatMap { head in choices.map { head + $0 } }
    }
    return result
  }

  /// A backslash takes the next one as it is.
  private static func member(_ rest: inout ArraySlice<Unicode.Scalar>) -> Unicode.Scalar {
    if rest.first == "\\" { rest.removeFirst() }
    return rest.removeFirst()
  }

  private static func set(_ rest: inout ArraySlice<Unicode.Scalar>) -> Token {
    let negated = rest.first == "!" || rest.first == "^"
    if negated { rest.removeFirst() }
    var ranges: [ClosedRange<UInt32>] = []
    repeat {
      let low = member(&rest)
      if rest.first == "-", rest.dropFirst().first != "]" {
        rest.removeFirst()
        ranges.append(low.value...member(&rest).value)
      } else {
        ranges.append(low.value...low.value)
      }
    } while rest.first != "]"
    rest.removeFirst()
    return .oneOf(ranges, negated: negated)
  }

  private static func merged(_ tokens: [Token]) -> [Token] {
    var result: [Token] = []
    for token in tokens {
      let isStar = token == .star || token == .doubleStar
      if isStar, result.last == .star || result.last == .doubleStar {
        if token == .doubleStar { result[result.count - 1] = .doubleStar }
      } else {
        result.append(token)
      }
    }
    return result
  }

  // MARK: matching

  private static let slash: [UInt8] = [0x2F]

  private static func match(
    _ tokens: ArraySlice<Token>, _ text: ArraySlice<[UInt8]>, afterSlash: Bool = false
  ) -> Bool {
    guard let token = tokens.first else { return text.isEmpty }
    let rest = tokens.dropFirst()
    switch token {
    case .character(let bytes):
      return text.first == bytes
        && match(rest, text.dropFirst(), afterSlash: bytes == slash)
    case .any:
      return text.first.map { $0 != slash } ?? false && match(rest, text.dropFirst())
    case .oneOf(let ranges, let negated):
      guard let first = text.first, first != slash else { return false }
      let scalar = value(of: first)
      let isMember = scalar.map { value in ranges.contains { $0.contains(value) } } ?? false
      return isMember != negated && match(rest, text.dropFirst())
    case .star:
      for count in 0...text.count {
        if count > 0, text[text.startIndex + count - 1] == slash { return false }
        if match(rest, text.dropFirst(count)) { return true }
      }
      return false
    case .doubleStar:
      let least = afterSlash && rest.isEmpty ? 1 : 0
      if afterSlash, rest.first == .character(slash) {
        // Any number of whole components.
        if match(rest.dropFirst(), text, afterSlash: true) { return true }
      }
      if text.count < least { return false }
      return (least...text.count).contains { match(rest, text.dropFirst($0)) }
    }
  }

  private static func value(of character: [UInt8]) -> UInt32? {
    var decoder = UTF8()
    var bytes = character.makeIterator()
    guard case .scalarValue(let scalar) = decoder.decode(&bytes), UTF8.width(scalar) == character.count else {
      return nil
    }
    return scalar.value
  }

  /// Characters, and what is not UTF-8 as the standard library divides it.
  static func characters(of bytes: [UInt8]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var parser = Unicode.UTF8.ForwardParser()
    var rest = bytes.makeIterator()
    var index = 0
    while true {
      let length: Int
      switch parser.parseScalar(from: &rest) {
      case .valid(let character): length = character.count
      case .error(let count): length = count
      case .emptyInput: return result
      }
      result.append(Array(bytes[index..<(index + length)]))
      index += length
    }
  }
}

/// The same numbers every time (SplitMix64).
package struct Seeded: RandomNumberGenerator {
  var state: UInt64
  package init(state: UInt64) { self.state = state }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
