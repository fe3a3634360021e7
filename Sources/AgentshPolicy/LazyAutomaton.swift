/// How much of what it learnt an automaton keeps: what is reserved at the start, and never exceeded.
package struct PathCacheLimits: Sendable {
  /// States of the deterministic automaton.
  package var states = 16_384
  /// Cells of its table, four bytes each.
  package var cells = 2 << 20
  /// Members of its states, four bytes each.
  package var members = 1 << 20
  /// When all is taken, so many paths are followed without learning before everything is forgotten.
  package var pathsBetweenFlushes = 4096

  package init() {}

  /// For a path or two.
  package static var few: PathCacheLimits {
    var limits = PathCacheLimits()
    (limits.states, limits.cells, limits.members) = (64, 1 << 13, 1 << 12)
    return limits
  }
}

/// A `GlobProgram` made deterministic as paths ask for it, in memory whose bounds are reserved at the start.
///
/// A state of it is a set of the program's states and a `PathContext`; what the context implies is not written down. Paths seen before cost one table
/// look-up for each byte and no allocation. When the tables are full, a path goes on in the program itself, a few word
/// operations for each byte and 64 states, and after `pathsBetweenFlushes` more paths the tables start again: no set of
/// patterns and no sequence of paths takes more memory, or more than time linear in the path.
/// One thread's own: nothing is shared and nothing is locked.
struct LazyAutomaton: ~Copyable {
  /// Where a path ends.
  enum End {
    /// A known state: an index for `ruleTable`.
    case known(Int)
    /// The program's states are in `current`.
    case simulated
    /// No pattern matches.
    case dead
  }

  let program: GlobProgram
  /// Which operations each rule is for, as bits. Rules of a list without operations have all bits.
  private let ruleOperations: [UInt32]
  private let operationCount: Int
  private let limits: PathCacheLimits
  private let columns: Int
  private let maximumStates: Int
  private let maximumMembers: Int

  /// The class of each byte.
  private let classOf: [UInt8]
  /// `columns` cells for each state: the next one times `columns`, or 0 for not known yet. State 0 is no state, state 1 is dead.
  private var rows: [UInt32] = []
  /// For each state and operation the first rule that accepts, or -1.
  private var rules: [Int32] = []
  private var contexts: [PathContext] = []
  private var memberStart: [UInt32] = []
  private var members: [UInt32] = []
  /// Open addressing: state numbers. It grows with them, within what is reserved: what is not used is not touched.
  private var table: [UInt32] = []
  /// Of each state.
  private var hashes: [UInt32] = []
  private var isFull = false
  private var pathsSinceFull = 0

  /// States of the program, where a path is followed in it, and what else is known there.
  private var current: [UInt64]
  private var context = PathContext()

  static let dead = 1

  init(
    _ program: GlobProgram, ruleOperations: [UInt32], operationCount: Int,
    limits: PathCacheLimits = PathCacheLimits()
  ) {
    self.program = program
    self.ruleOperations = ruleOperations
    self.operationCount = operationCount
    self.limits = limits
    columns = program.classes.count
    classOf = program.classes.classOf
    maximumStates = max(8, min(limits.states, limits.cells / columns))
    maximumMembers = max(limits.members, program.wordCount * 64)
    var slots = Self.firstSlots
    while slots < 2 * maximumStates { slots *= 2 }
    table.reserveCapacity(slots)
    hashes.reserveCapacity(maximumStates)
    current = [UInt64](repeating: 0, count: program.wordCount)
    rows.reserveCapacity(maximumStates * columns)
    rules.reserveCapacity(maximumStates * operationCount)
    contexts.reserveCapacity(maximumStates)
    memberStart.reserveCapacity(maximumStates + 1)
    members.reserveCapacity(maximumMembers)
    flush()
  }

  /// Forgets all states but the dead and the first.
  private mutating func flush() {
    rows.removeAll(keepingCapacity: true)
    rules.removeAll(keepingCapacity: true)
    contexts.removeAll(keepingCapacity: true)
    memberStart.removeAll(keepingCapacity: true)
    members.removeAll(keepingCapacity: true)
    hashes.removeAll(keepingCapacity: true)
    resize(Self.firstSlots)
    isFull = false
    pathsSinceFull = 0
    memberStart.append(0)
    for _ in 0..<2 { appendRow(PathContext()) }
    let deadRow = Self.dead * columns
    for column in 0..<columns { rows[deadRow + column] = UInt32(deadRow) }
    for word in current.indices { current[word] = program.initial[word] }
    context = PathContext()
    first = find(orAdd: true) ?? Self.dead
  }

  /// The state before the first byte.
  private var first = 0

  /// How many states there are, at most `PathCacheLimits.states`.
  var stateCount: Int { contexts.count }

  /// Follows the bytes of `path`.
  mutating func walk(_ path: borrowing Span<UInt8>) -> End {
    if isFull {
      pathsSinceFull += 1
      if pathsSinceFull > limits.pathsBetweenFlushes { flush() }
    }
    var row = first * columns
    var index = 0
    let count = path.count
    while index < count {
      let following = Int(rows[row + Int(classOf[Int(path[index])])])
      if following == 0 {
        guard let state = discover(from: row / columns, byte: path[index]) else {
          return simulate(path, from: row / columns, at: index)
        }
        row = state * columns
      } else {
        row = following
      }
      index += 1
    }
    return row == Self.dead * columns ? .dead : .known(row / columns)
  }

  /// The first rule that accepts where a walk ended and is for `operation`, or -1.
  @inline(__always)
  func firstRule(at end: End, operation: Int) -> Int32 {
    switch end {
    case .dead: -1
    case .known(let state): rules[state * operationCount + operation]
    case .simulated: firstRuleSimulated(operation: UInt32(truncatingIfNeeded: operation))
    }
  }

  private func firstRuleSimulated(operation: UInt32) -> Int32 {
    var found: Int32 = -1
    forEachMember { member in
      let rule = program.acceptedRule[member]
      if rule < 0 || ruleOperations[Int(rule)] & (1 << operation) == 0 { return true }
      found = rule
      return false
    }
    return found
  }

  /// Loads the program's states at `end` into `current`, so that `forEachMember` shows them.
  mutating func load(_ end: End) {
    switch end {
    case .simulated: return
    case .dead: clear()
    case .known(let state): load(state)
    }
  }

  /// Calls `body` with each of the program's states in `current`, in the order of rules, until it returns false.
  @inline(__always)
  func forEachMember(_ body: (Int) -> Bool) {
    for word in 0..<program.wordCount {
      var bits = current[word]
      while bits != 0 {
        if !body(word * 64 + bits.trailingZeroBitCount) { return }
        bits &= bits - 1
      }
    }
  }

  /// Goes one byte further than `end`.
  mutating func extend(_ end: End, by byte: UInt8) -> End {
    switch end {
    case .dead: return .dead
    case .known(let state):
      let following = Int(rows[state * columns + Int(classOf[Int(byte)])])
      let known = following == 0 ? discover(from: state, byte: byte) : following / columns
      if let known { return known == Self.dead ? .dead : .known(known) }
      load(state)
      return program.step(&current, &context, byte: byte) ? .simulated : .dead
    case .simulated:
      return program.step(&current, &context, byte: byte) ? .simulated : .dead
    }
  }

  /// The first accepting state at or after `member` among those loaded.
  func nextAccepting(from member: Int) -> Int? {
    var word = member / 64
    var mask = UInt64.max << UInt64(member % 64)
    while word < program.wordCount {
      let bits = current[word] & program.accepting[word] & mask
      if bits != 0 { return word * 64 + bits.trailingZeroBitCount }
      mask = .max
      word += 1
    }
    return nil
  }

  // MARK: new states

  private mutating func discover(from state: Int, byte: UInt8) -> Int? {
    load(state)
    let isAlive = program.step(&current, &context, byte: byte)
    guard let found = isAlive ? find(orAdd: !isFull) : Self.dead else {
      isFull = true
      return nil
    }
    rows[state * columns + Int(classOf[Int(byte)])] = UInt32(truncatingIfNeeded: found * columns)
    return found
  }

  private mutating func simulate(_ path: borrowing Span<UInt8>, from state: Int, at start: Int) -> End {
    load(state)
    for index in start..<path.count {
      if !program.step(&current, &context, byte: path[index]) { return .dead }
    }
    return .simulated
  }

  private mutating func clear() { for word in current.indices { current[word] = 0 } }

  private mutating func load(_ state: Int) {
    context = contexts[state]
    let implied = program.implied[Int(context.slashes)]
    for word in current.indices { current[word] = implied[word] }
    for index in Int(memberStart[state])..<Int(memberStart[state + 1]) {
      let member = Int(members[index])
      current[member / 64] |= 1 << UInt64(member % 64)
    }
  }

  /// The state for `current` and `context`. nil: there is none, and no room or no wish for it.
  private mutating func find(orAdd mayAdd: Bool) -> Int? {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(context.place.rawValue) << 8 ^ UInt64(context.slashes)
    var count = 0
    for word in 0..<program.wordCount {
      var bits = current[word] & ~program.implied[Int(context.slashes)][word]
      count += bits.nonzeroBitCount
      while bits != 0 {
        hash = (hash ^ UInt64(word * 64 + bits.trailingZeroBitCount)) &* 0x0000_0100_0000_01B3
        hash ^= hash >> 29
        bits &= bits - 1
      }
    }
    var slot = Int(truncatingIfNeeded: hash) & (table.count - 1)
    while table[slot] != 0 {
      let state = Int(table[slot])
      if contexts[state] == context, holdsCurrent(state, count: count) { return state }
      slot = (slot + 1) & (table.count - 1)
    }
    if !mayAdd || contexts.count >= maximumStates || members.count + count > maximumMembers { return nil }
    table[slot] = UInt32(truncatingIfNeeded: contexts.count)
    let state = add(hash: UInt32(truncatingIfNeeded: hash))
    if table.count < 2 * contexts.count { resize(2 * table.count) }
    return state
  }

  private static let firstSlots = 64

  private mutating func resize(_ slots: Int) {
    table.removeAll(keepingCapacity: true)
    for _ in 0..<slots { table.append(0) }
    for state in 2..<max(2, hashes.count) {
      var slot = Int(hashes[state]) & (slots - 1)
      while table[slot] != 0 { slot = (slot + 1) & (slots - 1) }
      table[slot] = UInt32(truncatingIfNeeded: state)
    }
  }

  private func holdsCurrent(_ state: Int, count: Int) -> Bool {
    let start = Int(memberStart[state])
    if Int(memberStart[state + 1]) - start != count { return false }
    for index in start..<(start + count) {
      let member = Int(members[index])
      if current[member / 64] & (1 << UInt64(member % 64)) == 0 { return false }
    }
    return true
  }

  private mutating func add(hash: UInt32) -> Int {
    let state = contexts.count
    for word in 0..<program.wordCount {
      var bits = current[word] & ~program.implied[Int(context.slashes)][word]
      while bits != 0 {
        members.append(UInt32(truncatingIfNeeded: word * 64 + bits.trailingZeroBitCount))
        bits &= bits - 1
      }
    }
    appendRow(context, hash: hash)
    fillRules(state)
    return state
  }

  private mutating func appendRow(_ context: PathContext, hash: UInt32 = 0) {
    for _ in 0..<columns { rows.append(0) }
    for _ in 0..<operationCount { rules.append(-1) }
    contexts.append(context)
    hashes.append(hash)
    memberStart.append(UInt32(truncatingIfNeeded: members.count))
  }

  private mutating func fillRules(_ state: Int) {
    var missing: UInt32 = operationCount == 32 ? .max : (1 << UInt32(operationCount)) - 1
    for word in 0..<program.wordCount {
      var bits = current[word] & program.accepting[word]
      while bits != 0, missing != 0 {
        let rule = program.acceptedRule[word * 64 + bits.trailingZeroBitCount]
        bits &= bits - 1
        var gained = ruleOperations[Int(rule)] & missing
        missing &= ~gained
        while gained != 0 {
          rules[state * operationCount + gained.trailingZeroBitCount] = rule
          gained &= gained - 1
        }
      }
    }
  }
}
