/// All globs of a list as one nondeterministic automaton whose states are bits.
///
/// Each alternative of each pattern is a run of states, one after the other; a set of states is `wordCount` words. A step
/// over a byte is: `((S & move) << 1) | (S & stay)`, then the empty moves `<< 2` and `<< 1`. Patterns stand in the order of
/// their rules, so the lowest accepting state belongs to the first rule that matches.
///
/// What patterns for any directory (`**/x`, `**/*.x`, `**`, base names) wait for is the same on every path and depends on
/// the slashes before only. These states are implied by `PathContext.slashes`: a set need not list them.
struct GlobProgram: Sendable {
  /// More states than this in one list are refused.
  static let maximumStates = 1 << 18

  let wordCount: Int
  let classes: ByteClasses
  /// The rule that each state accepts for, or -1.
  let acceptedRule: [Int32]
  /// The rule that each state belongs to.
  let owningRule: [Int32]
  /// The states before the first byte.
  let initial: [UInt64]
  /// `wordCount` words for each byte class, first for bytes that begin a character, then for those that continue one.
  let move: [UInt64]
  let stay: [UInt64]
  let emptyMoveOne: [UInt64]
  let emptyMoveTwo: [UInt64]
  let accepting: [UInt64]
  /// States from which every string but the empty one is accepted.
  let acceptsAnythingMore: [UInt64]
  /// For each value of `PathContext.slashes` the states that it implies; as `wordCount` words, and as those that are not 0.
  let implied: [[UInt64]]
  let impliedWords: [[(word: Int, bits: UInt64)]]
  /// Whether a path can come back to life that nothing but what is implied matches.
  let impliesAnything: Bool

  /// nil: more than `maximumStates`.
  init?(_ patterns: [(rule: Int, pattern: GlobPattern)]) {
    var most = 0
    for (_, pattern) in patterns {
      for alternative in pattern.alternatives { most += alternative.count + 1 }
    }
    var builder = GlobProgramBuilder(reserving: min(most, Self.maximumStates))
    for (rule, pattern) in patterns {
      for alternative in pattern.alternatives {
        builder.append(alternative, rule: Int32(truncatingIfNeeded: rule))
        if builder.states.count > Self.maximumStates { return nil }
      }
    }
    let states = builder.states
    let words = max(1, (states.count + 63) / 64)
    wordCount = words
    let sets = builder.sets.all
    classes = ByteClasses(telling: sets.map(\.set))
    (move, stay) = Self.transitions(builder, sets, classes, wordCount: words)
    acceptedRule = states.map { $0.isAccepting ? $0.rule : -1 }
    owningRule = states.map { $0.rule }
    func mask(_ holds: (GlobProgramBuilder.State) -> Bool) -> [UInt64] {
      var result = [UInt64](repeating: 0, count: words)
      for (index, state) in states.enumerated() where holds(state) {
        result[index / 64] |= UInt64(1) << UInt64(index % 64)
      }
      return result
    }
    let one = mask { $0.emptyMove == .one || $0.emptyMove == .oneAndTwo }
    let two = mask { $0.emptyMove == .oneAndTwo }
    (emptyMoveOne, emptyMoveTwo) = (one, two)
    accepting = mask { $0.isAccepting }
    acceptsAnythingMore = mask { $0.acceptsAnythingMore }
    initial = Self.closed(mask { $0.entry.contains(.start) || $0.entry.contains(.always) }, one, two)
    let implied = [
      GlobProgramBuilder.Entry.always, [.always, .onceSlash], [.always, .onceSlash, .afterSlash],
    ].map {
      entry in Self.closed(mask { !$0.entry.isDisjoint(with: entry) }, one, two)
    }
    self.implied = implied
    impliedWords = implied.map { mask in
      mask.enumerated().filter { $0.1 != 0 }.map { (word: $0.0, bits: $0.1) }
    }
    impliesAnything = implied.contains { $0.contains { $0 != 0 } }
  }

  private static func transitions(
    _ builder: GlobProgramBuilder, _ sets: [(number: Int32, set: ByteSet)], _ classes: ByteClasses,
    wordCount: Int
  ) -> (move: [UInt64], stay: [UInt64]) {
    let count = classes.count
    var move = [UInt64](repeating: 0, count: 2 * count * wordCount)
    var stay = move
    let representatives = classes.representatives
    // One after the other: an array of arrays counts references for each state.
    var columnsOf: [Int] = []
    var ranges = [Range<Int>](repeating: 0..<0, count: builder.sets.count)
    for (number, set) in sets {
      let start = columnsOf.count
      for column in representatives.indices where set.contains(representatives[column]) {
        columnsOf.append(column)
      }
      ranges[Int(number)] = start..<columnsOf.count
    }
    func columns(of number: Int32) -> Range<Int> {
      number == ByteSetTable.none ? 0..<0 : ranges[Int(number)]
    }
    for (index, state) in builder.states.enumerated() {
      let (word, bit) = (index / 64, UInt64(1) << UInt64(index % 64))
      for at in columns(of: state.moveOnBegin) { move[columnsOf[at] * wordCount + word] |= bit }
      for at in columns(of: state.moveOnContinue) {
        move[(count + columnsOf[at]) * wordCount + word] |= bit
      }
      for at in columns(of: state.stayOnBegin) { stay[columnsOf[at] * wordCount + word] |= bit }
      if state.stayOnContinue {
        for column in 0..<count { stay[(count + column) * wordCount + word] |= bit }
      }
    }
    return (move, stay)
  }

  /// The last state of a pattern that accepts nothing longer.
  func isFinal(_ state: Int) -> Bool {
    acceptedRule[state] >= 0 && acceptsAnythingMore[state / 64] & (1 << UInt64(state % 64)) == 0
      && !continuable(state)
  }

  /// Whether a character may go on at this state: only inside a UTF-8 character.
  private func continuable(_ state: Int) -> Bool {
    let (word, bit) = (state / 64, UInt64(1) << UInt64(state % 64))
    for column in 0..<(2 * classes.count) where stay[column * wordCount + word] & bit != 0 { return true }
    return false
  }

  /// Whether any pattern matches all of `text`. Allocates: for rules that are asked seldom.
  func matches(_ text: borrowing Span<UInt8>) -> Bool {
    var set = initial
    var context = PathContext()
    for index in 0..<text.count {
      if !step(&set, &context, byte: text[index]) { return false }
    }
    return zip(set, accepting).contains { $0 & $1 != 0 }
  }

  /// Adds what empty moves reach. They never chain further than two, then one (see `GlobPattern.resolve`).
  private static func closed(_ states: [UInt64], _ one: [UInt64], _ two: [UInt64]) -> [UInt64] {
    var set = states
    var (twoCarry, oneCarry): (UInt64, UInt64) = (0, 0)
    for word in set.indices {
      let skipping = set[word] & two[word]
      var result = set[word] | (skipping << 2) | twoCarry
      twoCarry = skipping >> 62
      let entering = result & one[word]
      result |= (entering << 1) | oneCarry
      oneCarry = entering >> 63
      set[word] = result
    }
    return set
  }

  /// One step of `set`, in place, over `byte`, which may be anything. Returns whether any state is left or can come back.
  @inline(__always)
  func step(_ set: inout [UInt64], _ context: inout PathContext, byte: UInt8) -> Bool {
    let continues = context.advance(byte)
    let isAlive = step(&set, column: Int(classes.classOf[Int(byte)]), continues: continues)
    for (word, bits) in impliedWords[Int(context.slashes)] { set[word] |= bits }
    return isAlive || impliesAnything
  }

  /// The step without what is implied.
  @inline(__always)
  private func step(_ set: inout [UInt64], column: Int, continues: Bool) -> Bool {
    let base = (continues ? classes.count + column : column) * wordCount
    let (move, stay) = (move.span, stay.span)
    let (one, two) = (emptyMoveOne.span, emptyMoveTwo.span)
    var (moveCarry, twoCarry, oneCarry): (UInt64, UInt64, UInt64) = (0, 0, 0)
    var any: UInt64 = 0
    for word in 0..<wordCount {
      let value = set[word]
      if value | moveCarry | twoCarry | oneCarry == 0 { continue }
      let moving = value & move[base + word]
      var result = (moving << 1) | moveCarry | (value & stay[base + word])
      moveCarry = moving >> 63
      let skipping = result & two[word]
      result |= (skipping << 2) | twoCarry
      twoCarry = skipping >> 62
      let entering = result & one[word]
      result |= (entering << 1) | oneCarry
      oneCarry = entering >> 63
      set[word] = result
      any |= result
    }
    return any != 0
  }
}
