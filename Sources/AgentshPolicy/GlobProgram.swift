/// All globs of a list as one nondeterministic automaton whose states are bits.
///
/// Each alternative of each pattern is a run of states, one after the other; a set of states is `wordCount` words. A step
/// over a byte is: `((S & move) << 1) | (S & stay)`, then the empty moves `<< 2` and `<< 1`. Patterns stand in the order of
/// their rules, so the lowest accepting state belongs to the first rule that matches.
struct GlobProgram: Sendable {
  /// More states than this in one list are refused.
  static let maximumStates = 1 << 18

  let wordCount: Int
  let classes: ByteClasses
  /// The rule that each state accepts for, or -1.
  let acceptedRule: [Int32]
  /// The rule that each state belongs to.
  let owningRule: [Int32]
  let initial: [UInt64]
  /// `wordCount` words for each byte class, first for bytes that begin a character, then for those that continue one.
  let move: [UInt64]
  let stay: [UInt64]
  let emptyMoveOne: [UInt64]
  let emptyMoveTwo: [UInt64]
  let accepting: [UInt64]
  /// States from which every string but the empty one is accepted.
  let acceptsAnythingMore: [UInt64]

  /// nil: more than `maximumStates`.
  init?(_ patterns: [(rule: Int, pattern: GlobPattern)]) {
    var builder = GlobProgramBuilder()
    for (rule, pattern) in patterns {
      for alternative in pattern.alternatives {
        builder.append(alternative, rule: Int32(truncatingIfNeeded: rule))
        if builder.states.count > Self.maximumStates { return nil }
      }
    }
    let states = builder.states
    let words = max(1, (states.count + 63) / 64)
    let classes = ByteClasses(telling: builder.sets)
    let columns = classes.count
    var move = [UInt64](repeating: 0, count: 2 * columns * words)
    var stay = move
    let representatives = classes.representatives
    // Few sets, many states: which columns a set holds is found once for each set.
    var columnsOfSet: [ByteSet: [Int]] = [:]
    func columnsIn(_ set: ByteSet) -> [Int] {
      if set.isEmpty { return [] }
      if let known = columnsOfSet[set] { return known }
      let found = (0..<columns).filter { set.contains(representatives[$0]) }
      columnsOfSet[set] = found
      return found
    }
    for (index, state) in states.enumerated() {
      let (word, bit) = (index / 64, UInt64(1) << UInt64(index % 64))
      for column in columnsIn(state.moveOnBegin) { move[column * words + word] |= bit }
      for column in columnsIn(state.moveOnContinue) { move[(columns + column) * words + word] |= bit }
      for column in columnsIn(state.stayOnBegin) { stay[column * words + word] |= bit }
      guard state.stayOnContinue else { continue }
      for column in 0..<columns { stay[(columns + column) * words + word] |= bit }
    }
    func mask(_ holds: (GlobProgramBuilder.State) -> Bool) -> [UInt64] {
      var result = [UInt64](repeating: 0, count: words)
      for (index, state) in states.enumerated() where holds(state) {
        result[index / 64] |= UInt64(1) << UInt64(index % 64)
      }
      return result
    }
    wordCount = words
    self.classes = classes
    self.move = move
    self.stay = stay
    acceptedRule = states.map { $0.isAccepting ? $0.rule : -1 }
    owningRule = states.map { $0.rule }
    emptyMoveOne = mask { $0.emptyMove == .one || $0.emptyMove == .oneAndTwo }
    emptyMoveTwo = mask { $0.emptyMove == .oneAndTwo }
    accepting = mask { $0.isAccepting }
    acceptsAnythingMore = mask { $0.acceptsAnythingMore }
    var first = mask { $0.isInitial }
    Self.close(&first, emptyMoveOne, emptyMoveTwo)
    initial = first
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
    var place = UTF8Position.boundary
    for index in 0..<text.count {
      let byte = text[index]
      let continues = place.advance(byte)
      if !step(&set, column: Int(classes.classOf[Int(byte)]), continues: continues) { return false }
    }
    return zip(set, accepting).contains { $0 & $1 != 0 }
  }

  /// Adds what empty moves reach. They never chain further than two, then one (see `GlobPattern.resolve`).
  private static func close(_ set: inout [UInt64], _ one: [UInt64], _ two: [UInt64]) {
    var carry: UInt64 = 0
    for word in set.indices {
      let value = set[word]
      let skipping = value & two[word]
      let both = value | (skipping << 2) | carry
      carry = skipping >> 62
      set[word] = both
    }
    carry = 0
    for word in set.indices {
      let entering = set[word] & one[word]
      let next = entering >> 63
      set[word] |= (entering << 1) | carry
      carry = next
    }
  }

  /// One step of `set`, in place, over a byte of class `column`. Returns whether any state is left.
  @inline(__always)
  func step(_ set: inout [UInt64], column: Int, continues: Bool) -> Bool {
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

/// Lays patterns out as runs of states.
struct GlobProgramBuilder {
  enum EmptyMove { case none, one, oneAndTwo }

  struct State {
    var rule: Int32
    var moveOnBegin = ByteSet()
    var moveOnContinue = ByteSet()
    var stayOnBegin = ByteSet()
    var stayOnContinue = false
    var emptyMove = EmptyMove.none
    var isInitial = false
    var isAccepting = false
    var acceptsAnythingMore = false
  }

  private(set) var states: [State] = []
  private(set) var sets: Set<ByteSet> = [.slash]

  mutating func append(_ elements: [GlobPattern.Element], rule: Int32) {
    var state = State(rule: rule)
    state.isInitial = true
    for (index, element) in elements.enumerated() {
      let isLast = index + 1 == elements.count
      var next = State(rule: rule)
      switch element {
      case .begin(let set, let thenAnyContinuation):
        sets.insert(set)
        state.moveOnBegin = set
        next.stayOnContinue = thenAnyContinuation
      case .proceed(let set):
        sets.insert(set)
        state.moveOnContinue = set
      case .componentBytes:
        state.stayOnBegin = .notSlash
        state.stayOnContinue = true
        state.emptyMove = .one
      case .anyBytes:
        state.stayOnBegin = .all
        state.stayOnContinue = true
        state.emptyMove = .one
        state.acceptsAnythingMore = isLast
      case .anyDepth:
        state.emptyMove = .oneAndTwo
        next.stayOnBegin = .all
        next.stayOnContinue = true
        next.moveOnBegin = .slash
        states.append(state)
        (state, next) = (next, State(rule: rule))
      case .somethingBelow:
        state.moveOnBegin = .all
        state.moveOnContinue = .all
        state.acceptsAnythingMore = true
        next.stayOnBegin = .all
        next.stayOnContinue = true
        next.acceptsAnythingMore = true
      case .endTruncated:
        continue
      }
      states.append(state)
      state = next
    }
    state.isAccepting = true
    states.append(state)
  }
}
