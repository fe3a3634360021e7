import AgentshPolicy

/// Globs and regular expressions are checked by what compiles them, so that what is accepted here is accepted there.
extension PolicyReader {
  mutating func checkPatterns() {
    do throws(PolicyError) {
      _ = try CompiledPolicy(rules)
    } catch {
      let before = problems.list.count
      for index in rules.fileRules.indices { checkFileRule(index) }
      for index in rules.unixSocketRules.indices { checkSocketRule(index) }
      for index in rules.commandRules.indices { checkCommandRule(index) }
      for index in rules.signalRules.indices { checkSignalRule(index) }
      // Each rule by itself may be fine and all of them together too large.
      if problems.list.count == before { problems.add(place(of: error), "\(error)") }
    }
  }

  private mutating func checkFileRule(_ index: Int) {
    let rule = rules.fileRules[index]
    for (item, pattern) in rule.paths.enumerated() {
      var one = PolicyRules()
      one.fileRules = [FileRule(name: rule.name, paths: [pattern], decision: rule.decision)]
      check(one, pattern, .file, index, "paths", item)
    }
  }

  private mutating func checkSocketRule(_ index: Int) {
    let rule = rules.unixSocketRules[index]
    for (item, pattern) in rule.paths.enumerated() {
      var one = PolicyRules()
      one.unixSocketRules = [UnixSocketRule(name: rule.name, paths: [pattern], decision: rule.decision)]
      check(one, pattern, .unixSocket, index, "paths", item)
    }
  }

  private mutating func checkCommandRule(_ index: Int) {
    let rule = rules.commandRules[index]
    for (item, pattern) in rule.commands.enumerated() {
      var one = PolicyRules()
      one.commandRules = [CommandRule(name: rule.name, commands: [pattern], decision: rule.decision)]
      check(one, pattern, .command, index, "commands", item)
    }
    for (item, pattern) in rule.argumentPatterns.enumerated() {
      var only = CommandRule(name: rule.name, commands: [], decision: rule.decision)
      only.argumentPatterns = [pattern]
      var one = PolicyRules()
      one.commandRules = [only]
      check(one, pattern, .command, index, "args_patterns", item)
    }
  }

  private mutating func checkSignalRule(_ index: Int) {
    var one = PolicyRules()
    one.signalRules = [rules.signalRules[index]]
    check(one, rules.signalRules[index].targetPattern ?? "", .signal, index, "pattern", 0)
  }

  private mutating func check(
    _ one: PolicyRules, _ pattern: String, _ list: RuleList, _ index: Int, _ field: String, _ item: Int
  ) {
    do throws(PolicyError) {
      _ = try CompiledPolicy(one)
    } catch {
      let ruled = places[list]?[index]
      let offset = error.offset.map { " at offset \($0)" } ?? ""
      // A link's two forms stand at one place.
      let place =
        ruled?.fields[field].flatMap { $0.indices.contains(item) ? $0[item] : nil } ?? ruled?.rule ?? .whole
      let diagnostic = Diagnostic(place, "\"\(pattern)\": \(error.cause)\(offset)")
      if problems.list.last?.place != diagnostic.place { problems.add(diagnostic.place, diagnostic.cause) }
    }
  }

  private func place(of error: PolicyError) -> Place {
    guard let list = error.list, let ruled = places[list], ruled.indices.contains(error.ruleIndex) else {
      return .whole
    }
    return ruled[error.ruleIndex].rule
  }
}
