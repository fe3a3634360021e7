/// One policy, compiled: what a `CompiledPolicy` consists of.
struct CompiledRules: Sendable {
  let files: PathList
  let sockets: PathList
  let commands: CommandList
  let network: NetworkList
  let signals: SignalList
  let transparent: TransparentCommands

  /// Throws what rule, field and byte of a pattern it cannot compile.
  init(_ rules: PolicyRules) throws(PolicyError) {
    let floor = try Floor(rules.floor, unread: rules.restrictsReading ? rules.trash : [])
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
}
