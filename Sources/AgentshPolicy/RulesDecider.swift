/// What one policy says of files, Unix sockets and commands: a half of a `FileDecider`, or all of it. It keeps what it
/// learnt about paths in memory reserved at the start: a decision that repeats costs one look-up for each byte of the
/// path, and neither allocates, locks nor counts references. Every byte sequence has a decision.
struct RulesDecider: ~Copyable {
  var files: LazyAutomaton
  private var sockets: LazyAutomaton
  var commands: LazyAutomaton
  var regexes = RegexMatcher()
  // The policy's tables again, so that nothing is retained to read them.
  private let fileList: PathList
  private let socketList: PathList
  let commandList: CommandList
  /// nil where mounts say nothing.
  var mounts: MountTable?
  var names = MountTable.Names()

  /// Reserves `limits` for files, a quarter or less of it for sockets and for commands.
  init(_ policy: CompiledRules, limits: PathCacheLimits) {
    fileList = policy.files
    socketList = policy.sockets
    commandList = policy.commands
    var small = limits
    small.states = min(limits.states, 4096)
    small.cells = min(limits.cells, 1 << 19)
    small.members = min(limits.members, 1 << 18)
    files = LazyAutomaton(
      fileList.program, ruleOperations: fileList.operations, operationCount: fileList.operationCount,
      limits: limits)
    sockets = LazyAutomaton(
      socketList.program, ruleOperations: socketList.operations, operationCount: socketList.operationCount,
      limits: small)
    commands = LazyAutomaton(
      commandList.program, ruleOperations: [], operationCount: 0, limits: small)
  }

  /// Decides `operation` on the canonical absolute path of an object, by all of its names.
  @inline(__always)
  mutating func decide(_ operation: FileOperation, path: borrowing Span<UInt8>) -> Decision {
    mounts == nil
      ? decideName(operation, path) : decideNames(.file, path) { $0.decideName(operation, $1) }
  }

  @inline(__always)
  private mutating func decideName(_ operation: FileOperation, _ path: borrowing Span<UInt8>) -> Decision {
    let end = files.walk(path)
    let index = Int(operation.rawValue)
    return fileList.decision(files.firstRule(at: end, operation: index), operation: index)
  }

  /// Decides several operations on one path, as an open that creates, truncates and writes: the decision of the
  /// strictest (deny, approve, soft_delete, redirect, audit, allow). Denies when there is no operation.
  mutating func decideAll(_ operations: FileOperations, path: borrowing Span<UInt8>) -> Decision {
    if mounts != nil { return decideEach(operations, path) }
    let end = files.walk(path)
    var rest = operations.intersection(.all).rawValue
    var result: Decision?
    while rest != 0 {
      let index = rest.trailingZeroBitCount
      rest &= rest - 1
      let one = fileList.decision(files.firstRule(at: end, operation: index), operation: index)
      result = result?.stricter(one) ?? one
    }
    return result ?? Decision(.deny, .file, default: .unresolved)
  }

  /// Decides what is done with the socket at a canonical absolute path, or the abstract socket `@name`.
  mutating func decideSocket(_ operation: SocketOperation, path: borrowing Span<UInt8>) -> Decision {
    mounts == nil
      ? decideSocketName(operation, path)
      : decideNames(.unixSocket, path) { $0.decideSocketName(operation, $1) }
  }

  private mutating func decideSocketName(_ operation: SocketOperation, _ path: borrowing Span<UInt8>)
    -> Decision
  {
    let end = sockets.walk(path)
    let index = Int(operation.rawValue)
    return socketList.decision(sockets.firstRule(at: end, operation: index), operation: index)
  }

  /// Whether everything below the directory `path` is surely permitted, for each of `operations` by one rule (or by
  /// rules that all say `allow`): then moving the directory moves nothing out of its rule. False when in doubt.
  mutating func isUniform(below path: borrowing Span<UInt8>, _ operations: FileOperations) -> Bool {
    guard let states = statesBelow(path) else { return false }
    return isUniform(states, operations)
  }

  private func isUniform(_ states: [Int], _ operations: FileOperations) -> Bool {
    var rest = operations.intersection(.all).rawValue
    if rest == 0 { return false }
    while rest != 0 {
      if !isUniform(states, operation: rest.trailingZeroBitCount) { return false }
      rest &= rest - 1
    }
    return true
  }

  /// Whether every name below the directory `a` is decided as the same name below `b` is, whatever the operation: then
  /// renaming one to the other carries nothing out of its rule, also where rules such as `**/.env` look into it.
  mutating func decidesAlike(below a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>) -> Bool {
    guard let left = statesBelow(a), let right = statesBelow(b) else { return false }
    return left == right
  }

  /// The program's states after each name of `path` and a slash, in order: all that what follows is decided by.
  private mutating func statesBelow(_ path: borrowing Span<UInt8>) -> [Int]? {
    if path.count == 0 { return nil }
    var states: Set<Int> = []
    return forEachName(of: path) { $0.addStates(below: $1, to: &states) } ? states.sorted() : nil
  }

  private mutating func addStates(below path: borrowing Span<UInt8>, to states: inout Set<Int>) {
    var end = files.walk(path)
    if path[path.count - 1] != UInt8(ascii: "/") { end = files.extend(end, by: UInt8(ascii: "/")) }
    files.load(end)
    files.forEachMember { member in
      states.insert(member)
      return true
    }
  }

  /// In the order of rules, the first state that accepts everything decides, unless one before it might accept
  /// something else.
  private func isUniform(_ states: [Int], operation: Int) -> Bool {
    var mayAllow = false
    for member in states {
      let rule = files.program.owningRule[member]
      if fileList.operations[Int(rule)] & (1 << UInt32(operation)) == 0 { continue }
      let verdict = fileList.verdicts[Int(rule)]
      let bit = UInt64(1) << UInt64(member % 64)
      if files.program.acceptsAnythingMore[member / 64] & bit != 0 {
        return verdict == .allow || (verdict == .audit && !mayAllow)
      }
      if files.program.isFinal(member) { continue }
      if verdict != .allow { return false }
      mayAllow = true
    }
    return fileList.defaults[operation].verdict == .allow
  }
}

extension RulesDecider {
  /// How many states the automaton for files has learnt: bounded by `PathCacheLimits.states`.
  var learntStates: Int { files.stateCount }

  /// All operations that may be done to what has the name `path`.
  mutating func permitted(_ path: borrowing Span<UInt8>) -> FileOperations {
    var result = FileOperations()
    if mounts != nil {
      for operation in FileOperation.allCases where decide(operation, path: path).permits {
        result.insert(FileOperations(operation))
      }
      return result
    }
    let end = files.walk(path)
    for operation in 0..<fileList.operationCount {
      let rule = files.firstRule(at: end, operation: operation)
      if fileList.decision(rule, operation: operation).permits {
        result.formUnion(FileOperations(rawValue: 1 << UInt32(operation)))
      }
    }
    return result
  }

  /// What a rule says that tells truncating from writing; nil where another rule, or none, is the first.
  mutating func decideCut(_ path: borrowing Span<UInt8>) -> Decision? {
    let decision = decide(.truncate, path: path)
    guard decision.rule >= 0, fileList.tellsTruncating[Int(decision.rule)] else { return nil }
    return decision
  }

  /// Whether a directory can move from `old` to `new` and nothing in it leaves its rule.
  mutating func keepsRules(from old: borrowing Span<UInt8>, to new: borrowing Span<UInt8>) -> Bool {
    guard let left = statesBelow(old), let right = statesBelow(new) else { return false }
    return left == right || isUniform(left, .all) && isUniform(right, .all)
  }
}
