/// A session's rules, ready to decide: immutable, shared by all threads. Files, sockets and commands are decided by a
/// `FileDecider` that each thread makes for itself; addresses and signals by the policy.
///
/// Where a policy narrows the other, each decides as if it were alone, and the stricter decision counts. Nothing outside
/// of this module can ask one of them and take its answer for the session's, but by its name (`PolicySource`).
package final class CompiledPolicy: Sendable {
  package let rules: SessionRules
  let main: CompiledRules
  let narrowing: CompiledRules?
  /// Of the operations that are free otherwise, those that a rule of either can stop.
  package let restricted: FileOperations
  /// Whether a rule asks for the arguments of commands: otherwise callers need not read and join them.
  package let commandsNeedArguments: Bool

  /// Compiles `rules`. Throws what rule, field and byte of a pattern it cannot compile.
  package init(_ rules: SessionRules) throws(PolicyError) {
    self.rules = rules
    main = try CompiledRules(rules.main)
    narrowing = if let more = rules.narrowing { try CompiledRules(more) } else { nil }
    restricted = rules.restricted
    commandsNeedArguments = main.commands.needArguments || narrowing?.commands.needArguments ?? false
  }

  /// Compiles a policy that nothing narrows.
  package convenience init(_ rules: PolicyRules) throws(PolicyError) { try self.init(SessionRules(rules)) }

  /// Whose decisions count.
  package var sources: [PolicySource] { narrowing == nil ? [.main] : PolicySource.allCases }

  /// The command line that `argv` would start (`TransparentCommands.payload`), as one of the policies has it.
  package func payload(of argv: [[UInt8]], by source: PolicySource) -> [[UInt8]]? {
    switch source {
    case .main: main.transparent.payload(of: argv)
    case .narrowing: narrowing?.transparent.payload(of: argv)
    }
  }

  /// The answer for every Unix socket and operation, where there is only one.
  package var unixIsUniform: Decision? {
    both(main.sockets.uniformDecision, narrowing.map(\.sockets.uniformDecision))
  }

  /// The decision on a connection to an address. The unspecified address means this host: 127.0.0.1 or ::1.
  package func decideNetwork(address: IPAddress, port: UInt16) -> Decision {
    let own = main.network.decide(address: address, port: port)
    guard let narrowing else { return own }
    return own.narrowed(by: narrowing.network.decide(address: address, port: port))
  }

  /// The answer for every address and port, where there is only one.
  package var networkIsUniform: Decision? {
    both(main.network.uniformDecision, narrowing.map(\.network.uniformDecision))
  }

  /// The answer for every command, whatever its name, arguments and depth, where there is only one.
  package var commandIsUniform: Decision? {
    both(main.commands.uniformDecision, narrowing.map(\.commands.uniformDecision))
  }

  /// Whether `operation` is surely permitted on every absolute path. False when in doubt.
  package func permitsEvery(_ operation: FileOperation) -> Bool {
    let root = [UInt8(ascii: "/")]
    var decider = FileDecider(self, limits: .few)
    return decider.decide(operation, path: root.span).permits
      && decider.isUniform(below: root.span, FileOperations(operation))
  }

  private func both(_ own: Decision?, _ other: Decision??) -> Decision? {
    guard let other else { return own }
    guard let own, let other else { return nil }
    return own.narrowed(by: other)
  }

  /// The name of the rule, or of the default, that gave `decision`.
  package func ruleName(_ decision: Decision) -> String {
    rules.ruleName(list: decision.listCode, rule: decision.rule)
  }

  /// What its author wrote for those whom the rule denies; empty for defaults.
  package func message(_ decision: Decision) -> String {
    rules.message(list: decision.listCode, rule: decision.rule)
  }

  /// How long the rule lets a call wait for approval, in seconds; nil where it does not say.
  package func approvalTimeout(_ decision: Decision) -> UInt32? {
    rules[decision.source]?.timeout(list: decision.list, rule: decision.rule)
  }
}
