/// An RE2 expression, compiled: it matches when it matches anywhere in the bytes, in time linear in their number.
/// Characters are those of UTF-8; bytes that are not UTF-8 are matched by `.` and by negated sets only.
package struct RegularExpression: Sendable {
  /// One step of the program: what it asks of a byte, and where it goes.
  enum Instruction: Equatable, Sendable {
    /// A byte that begins a character.
    case begin(ByteSet, next: Int32)
    /// A byte that continues one.
    case proceed(ByteSet, next: Int32)
    case split(Int32, Int32)
    case assert(RegexAssertion, next: Int32)
    case match
  }

  /// More instructions than this are refused.
  static let maximumInstructions = 50_000

  let instructions: [Instruction]
  let start: Int32

  /// Compiles `pattern`. Throws with the byte offset where it is wrong or not supported.
  package init(_ pattern: String) throws(PatternError) {
    var parser = RegexParser(pattern)
    let node = try parser.parse()
    var compiler = RegexCompiler()
    let match = compiler.emit(.match)
    start = try compiler.compile(node, next: match)
    instructions = compiler.instructions
  }
}

/// Writes the program back to front: each part knows where it goes on.
struct RegexCompiler {
  private(set) var instructions: [RegularExpression.Instruction] = []

  mutating func emit(_ instruction: RegularExpression.Instruction) -> Int32 {
    instructions.append(instruction)
    return Int32(truncatingIfNeeded: instructions.count - 1)
  }

  mutating func compile(_ node: RegexNode, next: Int32) throws(PatternError) -> Int32 {
    if instructions.count > RegularExpression.maximumInstructions {
      throw PatternError(
        offset: 0, cause: "too large: more than \(RegularExpression.maximumInstructions) steps")
    }
    switch node {
    case .empty: return next
    case .assertion(let kind): return emit(.assert(kind, next: next))
    case .set(let set): return compile(set, next: next)
    case .sequence(let nodes):
      var next = next
      for node in nodes.reversed() { next = try compile(node, next: next) }
      return next
    case .either(let nodes):
      var result: Int32?
      for node in nodes.reversed() {
        let choice = try compile(node, next: next)
        result = result.map { emit(.split(choice, $0)) } ?? choice
      }
      return result ?? next
    case .repeated(let node, let minimum, let maximum):
      return try compile(node, minimum: minimum, maximum: maximum, next: next)
    }
  }

  private mutating func compile(
    _ node: RegexNode, minimum: Int, maximum: Int?, next: Int32
  ) throws(PatternError) -> Int32 {
    var entry = next
    if let maximum {
      for _ in minimum..<maximum {
        let body = try compile(node, next: entry)
        entry = emit(.split(body, next))
      }
    } else {
      let loop = emit(.split(next, next))
      let body = try compile(node, next: loop)
      instructions[Int(loop)] = .split(body, next)
      entry = loop
    }
    for _ in 0..<minimum { entry = try compile(node, next: entry) }
    return entry
  }

  private mutating func compile(_ set: ScalarSet, next: Int32) -> Int32 {
    var result: Int32?
    for sequence in set.byteSequences {
      var entry = next
      if sequence.thenAnyContinuation {
        let loop = emit(.split(next, next))
        let again = emit(.proceed(ByteSet(0x80...0xBF), next: loop))
        instructions[Int(loop)] = .split(again, next)
        entry = loop
      }
      for bytes in sequence.sets.dropFirst().reversed() { entry = emit(.proceed(bytes, next: entry)) }
      entry = emit(.begin(sequence.sets.first ?? ByteSet(), next: entry))
      result = result.map { emit(.split(entry, $0)) } ?? entry
    }
    // A set of nothing matches nothing.
    return result ?? emit(.begin(ByteSet(), next: next))
  }
}
