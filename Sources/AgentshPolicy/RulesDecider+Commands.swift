extension RulesDecider {
  mutating func decideCommand(_ request: borrowing CommandRequest) -> Decision {
    explicitCommandDecision(request) ?? FileDecider.commandDefault(depth: request.depth)
  }

  /// What the rules say of a command; nil where none matches. Of the canonical and the called name the stricter explicit
  /// match counts.
  mutating func explicitCommandDecision(_ request: borrowing CommandRequest) -> Decision? {
    let canonical = commandRule(request.canonical.span, request)
    guard request.calledNameCounts, request.called != request.canonical else { return canonical }
    guard let called = commandRule(request.called.span, request) else { return canonical }
    return canonical?.stricter(called) ?? called
  }

  /// By all names of the file; nil where no rule matches one.
  private mutating func commandRule(
    _ name: borrowing Span<UInt8>, _ request: borrowing CommandRequest
  ) -> Decision? {
    if mounts == nil { return firstCommandRule(name, request) }
    var result: Decision?
    let isOpen = forEachName(of: name) { decider, name in
      guard let decision = decider.firstCommandRule(name, request) else { return }
      result = result?.earlier(decision) ?? decision
    }
    return isOpen ? result : Decision(.deny, .command, default: .floor)
  }

  private mutating func firstCommandRule(
    _ name: borrowing Span<UInt8>, _ request: borrowing CommandRequest
  ) -> Decision? {
    let end = commands.walk(name)
    commands.load(end)
    var member = 0
    var lastRule: Int32 = -1
    while let found = commands.nextAccepting(from: member) {
      member = found + 1
      let rule = commands.program.acceptedRule[found]
      if rule == lastRule { continue }
      lastRule = rule
      let index = Int(rule)
      if commandList.holds(index, depth: request.depth), argumentsMatch(index, request) {
        return Decision(verdict: commandList.rules[index].decision, list: .command, rule: rule)
      }
    }
    return nil
  }

  private mutating func argumentsMatch(_ rule: Int, _ request: borrowing CommandRequest) -> Bool {
    let patterns = commandList.argumentPatterns[rule]
    if patterns.isEmpty { return true }
    for pattern in patterns where regexes.matches(pattern, in: request.arguments.span) { return true }
    return false
  }
}
