/// A policy ready to decide: immutable, shared by all threads. Files, sockets and commands are decided by a `FileDecider`
/// that each thread makes for itself; addresses and signals by the policy.
package final class CompiledPolicy: Sendable {
  package let rules: PolicyRules
  let files: PathList
  let sockets: PathList
  let commands: CommandList
  let network: NetworkList
  let signals: SignalList
  /// Of the operations that are free otherwise, those that a rule can stop.
  package let restricted: FileOperations
  /// Commands whose arguments are a command.
  package let transparent: TransparentCommands

  /// Compiles `rules`. Throws what rule, field and byte of a pattern it cannot compile.
  package init(_ rules: PolicyRules) throws(PolicyError) {
    self.rules = rules
    restricted = rules.restricted
    let floor = try Floor(rules.floor)
    files = try PathList(files: rules.fileRules, floor: floor, denyReads: rules.denyReadsByDefault)
    sockets = try PathList(sockets: rules.unixSocketRules, floor: floor)
    commands = try CommandList(rules.commandRules)
    network = NetworkList(rules.networkRules)
    signals = try SignalList(rules.signalRules)
    do throws(PatternError) {
      transparent = try TransparentCommands(adding: rules.transparentAdd, removing: rules.transparentRemove)
    } catch {
      throw PolicyError(
        list: .command, ruleIndex: 0, rule: "", field: "transparent_commands", item: 0, offset: error.offset,
        cause: error.cause)
    }
  }

  /// Whether a rule asks for the arguments of commands: otherwise callers need not read and join them.
  package var commandsNeedArguments: Bool { commands.needArguments }

  /// The answer for every Unix socket and operation, where there is only one.
  package var unixIsUniform: Decision? { sockets.uniformDecision }

  /// The name of the rule, or of the default, that gave `decision`.
  package func ruleName(_ decision: Decision) -> String {
    rules.ruleName(list: decision.list.rawValue, rule: decision.rule)
  }

  /// What its author wrote for those whom the rule denies; empty for defaults.
  package func message(_ decision: Decision) -> String {
    rules.message(list: decision.list, rule: decision.rule)
  }
}
