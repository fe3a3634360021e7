/// Decides about files, Unix sockets and commands by a policy; one thread's own. It keeps what it learnt about paths in
/// memory reserved at the start: a decision that repeats costs one look-up for each byte of the path, and neither
/// allocates, locks nor counts references. Every byte sequence has a decision.
///
/// Of two policies each decides for itself, by memory of its own, and the stricter decision is the answer.
package struct FileDecider: ~Copyable {
  package let policy: CompiledPolicy
  private var main: RulesDecider
  private var narrowing: RulesDecider?

  /// Reserves `limits` for files, a quarter or less of it for sockets and for commands; for each policy.
  package init(
    _ policy: CompiledPolicy, limits: PathCacheLimits = PathCacheLimits(), mounts: MountTable? = nil
  ) {
    self.policy = policy
    main = RulesDecider(policy.main, limits: limits)
    if let more = policy.narrowing {
      narrowing = RulesDecider(more, limits: limits)
    } else {
      narrowing = nil
    }
    know(mounts)
  }

  /// What mounts there are from now on; nil where they say nothing.
  package mutating func know(_ mounts: MountTable?) {
    main.mounts = mounts
    narrowing?.mounts = mounts
  }

  /// Decides `operation` on the canonical absolute path of an object.
  package mutating func decide(_ operation: FileOperation, path: borrowing Span<UInt8>) -> Decision {
    let own = main.decide(operation, path: path)
    guard let other = narrowing?.decide(operation, path: path) else { return own }
    return own.narrowed(by: other)
  }

  /// What one of the policies decides by itself; nil where there is none.
  package mutating func decide(
    _ operation: FileOperation, path: borrowing Span<UInt8>, by source: PolicySource
  ) -> Decision? {
    switch source {
    case .main: main.decide(operation, path: path)
    case .narrowing: narrowing?.decide(operation, path: path).by(.narrowing)
    }
  }

  /// Decides several operations on one path, as an open that creates, truncates and writes: the decision of the
  /// strictest (deny, approve, soft_delete, redirect, audit, allow). Denies when there is no operation.
  package mutating func decideAll(_ operations: FileOperations, path: borrowing Span<UInt8>) -> Decision {
    let own = main.decideAll(operations, path: path)
    guard let other = narrowing?.decideAll(operations, path: path) else { return own }
    return own.narrowed(by: other)
  }

  /// Decides on truncating what may be written: only rules that tell the one from the other have a say; nil for none.
  package mutating func decideCut(path: borrowing Span<UInt8>) -> Decision? {
    let own = main.decideCut(path)
    guard let other = narrowing?.decideCut(path) else { return own }
    return own?.narrowed(by: other) ?? other.by(.narrowing)
  }

  /// Decides what is done with the socket at a canonical absolute path, or the abstract socket `@name`.
  package mutating func decideSocket(_ operation: SocketOperation, path: borrowing Span<UInt8>) -> Decision {
    let own = main.decideSocket(operation, path: path)
    guard let other = narrowing?.decideSocket(operation, path: path) else { return own }
    return own.narrowed(by: other)
  }

  // MARK: moving

  /// Whether what is at `path` is mounted elsewhere, or holds what is: moved, it would have other names.
  package func isMountedElsewhere(_ path: borrowing Span<UInt8>) -> Bool {
    main.mounts?.hang(on: path) ?? false
  }

  /// The policy by which `new` permits an operation that `old` does not: a move would carry the thing out of its rule.
  /// Each is asked alone: what one of them denies must not go to where only the other does.
  package mutating func loosened(from old: borrowing Span<UInt8>, to new: borrowing Span<UInt8>)
    -> PolicySource?
  {
    let moving: FileOperations = [FileOperations(.rename), FileOperations(.link)]
    let own = main.permitted(new).subtracting(main.permitted(old))
    if !own.isSubset(of: moving) { return .main }
    guard let after = narrowing?.permitted(new), let before = narrowing?.permitted(old) else { return nil }
    return after.subtracting(before).isSubset(of: moving) ? nil : .narrowing
  }

  /// Whether the directory `old` can become `new` without carrying anything out of its rule: by each policy everything
  /// below both names is decided alike, or permitted by one rule.
  package mutating func keepsRules(from old: borrowing Span<UInt8>, to new: borrowing Span<UInt8>) -> Bool {
    main.keepsRules(from: old, to: new) && narrowing?.keepsRules(from: old, to: new) ?? true
  }

  /// Whether everything below the directory `path` is surely permitted, for each of `operations` by one rule (or by
  /// rules that all say `allow`). False when in doubt.
  package mutating func isUniform(below path: borrowing Span<UInt8>, _ operations: FileOperations) -> Bool {
    main.isUniform(below: path, operations) && narrowing?.isUniform(below: path, operations) ?? true
  }

  /// Whether every name below the directory `a` is decided as the same name below `b` is, whatever the operation, also
  /// where rules such as `**/.env` look into it.
  package mutating func decidesAlike(below a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>) -> Bool {
    main.decidesAlike(below: a, b) && narrowing?.decidesAlike(below: a, b) ?? true
  }

  // MARK: commands

  /// Decides a command. A name that no rule matches has no opinion; of the canonical and the called name the stricter
  /// explicit match counts, and the default only when neither matches.
  package mutating func decideCommand(_ request: borrowing CommandRequest) -> Decision {
    let own = main.decideCommand(request)
    guard let other = narrowing?.decideCommand(request) else { return own }
    return own.narrowed(by: other)
  }

  /// What holds for a command that no rule matches.
  package static func commandDefault(depth: UInt32, by source: PolicySource = .main) -> Decision {
    Decision(.deny, .command, default: depth == 0 ? .denyCommands : .denyExecve).by(source)
  }

  /// What the rules of one of the policies say of a command; nil where none matches: for what is looked at more closely
  /// (a transparent command's payload) the stricter explicit decision counts.
  package mutating func explicitCommandDecision(
    _ request: borrowing CommandRequest, by source: PolicySource
  ) -> Decision? {
    switch source {
    case .main: main.explicitCommandDecision(request)
    case .narrowing: narrowing?.explicitCommandDecision(request)?.by(.narrowing)
    }
  }

  /// How many states the automata for files have learnt: each at most `PathCacheLimits.states`.
  package var learntStates: Int {
    switch narrowing {
    case .some(let more): main.learntStates + more.learntStates
    case .none: main.learntStates
    }
  }
}
