/// Lays patterns out as runs of states.
struct GlobProgramBuilder {
  enum EmptyMove { case none, one, oneAndTwo }

  /// Where a run is entered.
  struct Entry: OptionSet {
    let rawValue: UInt8
    /// Before the first byte.
    static let start = Entry(rawValue: 1)
    /// Everywhere.
    static let always = Entry(rawValue: 2)
    /// Everywhere after the first slash.
    static let onceSlash = Entry(rawValue: 4)
    /// After each slash.
    static let afterSlash = Entry(rawValue: 8)
  }

  /// Sets are numbers of `sets`, or `ByteSetTable.none`.
  struct State {
    var rule: Int32
    var moveOnBegin = ByteSetTable.none
    var moveOnContinue = ByteSetTable.none
    var stayOnBegin = ByteSetTable.none
    var stayOnContinue = false
    var emptyMove = EmptyMove.none
    var entry: Entry = []
    var isAccepting = false
    var acceptsAnythingMore = false
  }

  private(set) var states: [State] = []
  private(set) var sets = ByteSetTable()

  init(reserving capacity: Int) { states.reserveCapacity(capacity) }

  mutating func append(_ elements: [GlobPattern.Element], rule: Int32) {
    let (entry, rest) = Self.entry(elements)
    var state = State(rule: rule)
    state.entry = entry
    for (index, element) in rest.enumerated() {
      append(element, isLast: index + 1 == rest.count, to: &state)
    }
    state.isAccepting = true
    states.append(state)
  }

  /// How a pattern begins, and what of it is left. `**/x` waits for x after each slash; `**/*x` has its `*` waiting
  /// everywhere after the first, as another slash begins it again.
  private static func entry(_ elements: [GlobPattern.Element]) -> (Entry, ArraySlice<GlobPattern.Element>) {
    if elements.first == .anyBytes, elements.count > 2, elements[1] == .slash {
      let rest = elements[2] == .anyDepth ? elements[3...] : elements[2...]
      return (rest.first == .componentBytes ? .onceSlash : .afterSlash, rest)
    }
    if elements.first == .anyDepth {
      let rest = elements.dropFirst()
      return (rest.first == .componentBytes ? .always : [.start, .afterSlash], rest)
    }
    return (elements.first == .anyBytes ? .always : .start, elements[...])
  }

  private mutating func append(_ element: GlobPattern.Element, isLast: Bool, to state: inout State) {
    var next = State(rule: state.rule)
    switch element {
    case .begin(let set, let thenAnyContinuation):
      state.moveOnBegin = sets.number(of: set)
      next.stayOnContinue = thenAnyContinuation
    case .proceed(let set):
      state.moveOnContinue = sets.number(of: set)
    case .componentBytes:
      state.stayOnBegin = ByteSetTable.notSlash
      state.stayOnContinue = true
      state.emptyMove = .one
    case .anyBytes:
      state.stayOnBegin = ByteSetTable.all
      state.stayOnContinue = true
      state.emptyMove = .one
      state.acceptsAnythingMore = isLast
    case .anyDepth:
      state.emptyMove = .oneAndTwo
      next.stayOnBegin = ByteSetTable.all
      next.stayOnContinue = true
      next.moveOnBegin = ByteSetTable.slash
      states.append(state)
      (state, next) = (next, State(rule: state.rule))
    case .somethingBelow:
      state.moveOnBegin = ByteSetTable.all
      state.moveOnContinue = ByteSetTable.all
      state.acceptsAnythingMore = true
      next.stayOnBegin = ByteSetTable.all
      next.stayOnContinue = true
      next.acceptsAnythingMore = true
    case .endTruncated:
      return
    }
    states.append(state)
    state = next
  }
}
