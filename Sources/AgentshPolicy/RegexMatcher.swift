/// Runs regular expressions; one thread's own. It keeps its memory, so that matching again does not allocate.
///
/// All ways through the program are followed side by side (Pike), each instruction at most once for each byte.
package struct RegexMatcher: ~Copyable {
  private enum Neighbour { case none, newline, word, other }

  private var current: [Int32] = []
  private var following: [Int32] = []
  private var leaves: [Int32] = []
  private var stack: [Int32] = []
  /// When an instruction was last reached, as a number of rounds.
  private var reached: [UInt64] = []
  private var listed: [UInt64] = []
  private var round: UInt64 = 0

  package init() {}

  /// Whether `expression` matches anywhere in `text`.
  package mutating func matches(_ expression: RegularExpression, in text: borrowing Span<UInt8>) -> Bool {
    prepare(expression.instructions.count)
    var place = UTF8Position.boundary
    var before = Neighbour.none
    for index in 0..<text.count {
      let byte = text[index]
      let continues = place.advance(byte)
      round += 1
      if continues {
        expand(expression, assertions: nil)
      } else {
        current.append(expression.start)
        let after = Self.neighbour(byte)
        if expand(expression, assertions: (before, after)) { return true }
        before = after
      }
      consume(expression, byte: byte, continues: continues)
    }
    round += 1
    current.append(expression.start)
    return expand(expression, assertions: (before, .none))
  }

  private mutating func prepare(_ count: Int) {
    while reached.count < count { reached.append(0) }
    while listed.count < count { listed.append(0) }
    current.removeAll(keepingCapacity: true)
  }

  private static func neighbour(_ byte: UInt8) -> Neighbour {
    switch byte {
    case 10: .newline
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      .word
    default: .other
    }
  }

  /// Follows what needs no byte from `current` into `leaves`. Inside a character (no assertions) nothing ends.
  @discardableResult
  private mutating func expand(_ expression: RegularExpression, assertions: (Neighbour, Neighbour)?) -> Bool {
    leaves.removeAll(keepingCapacity: true)
    for index in current.indices {
      stack.append(current[index])
      while let step = stack.popLast() {
        if reached[Int(step)] == round { continue }
        reached[Int(step)] = round
        switch expression.instructions[Int(step)] {
        case .begin, .proceed: leaves.append(step)
        case .split(let a, let b):
          stack.append(b)
          stack.append(a)
        case .assert(let kind, let next):
          if let assertions, Self.holds(kind, assertions.0, assertions.1) { stack.append(next) }
        case .match:
          if assertions != nil {
            stack.removeAll(keepingCapacity: true)
            return true
          }
        }
      }
    }
    return false
  }

  private mutating func consume(_ expression: RegularExpression, byte: UInt8, continues: Bool) {
    following.removeAll(keepingCapacity: true)
    for step in leaves {
      let next: Int32
      switch expression.instructions[Int(step)] {
      case .begin(let set, let target) where !continues && set.contains(byte): next = target
      case .proceed(let set, let target) where continues && set.contains(byte): next = target
      default: continue
      }
      if listed[Int(next)] == round { continue }
      listed[Int(next)] = round
      following.append(next)
    }
    swap(&current, &following)
  }

  private static func holds(_ kind: RegexAssertion, _ before: Neighbour, _ after: Neighbour) -> Bool {
    switch kind {
    case .beginText: before == .none
    case .endText: after == .none
    case .beginLine: before == .none || before == .newline
    case .endLine: after == .none || after == .newline
    case .wordBoundary: (before == .word) != (after == .word)
    case .notWordBoundary: (before == .word) == (after == .word)
    }
  }
}
