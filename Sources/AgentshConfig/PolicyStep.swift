import AgentshPolicy

/// One rule that was looked at, and why it matched or not.
package struct PolicyStep: Sendable, Equatable {
  package let rule: String
  package let matched: Bool
  package let why: String

  /// The rules of the question's list up to the one that decided.
  static func trace(
    _ rules: PolicyRules, _ question: PolicyQuestion, _ decided: Decision
  ) throws(PolicyQuestionError) -> [PolicyStep] {
    let last = decided.rule >= 0 ? Int(decided.rule) : Int.max
    var steps: [PolicyStep] = []
    if decided.rule == Decision.Default.floor.rawValue {
      return [
        PolicyStep(
          rule: "agentsh-floor", matched: true,
          why: "agentsh itself, a control group, or a second /proc; before every rule")
      ]
    }
    for (index, name, mismatch) in try mismatches(rules, question) where index <= last {
      let matched = index == last
      steps.append(
        PolicyStep(rule: name, matched: matched, why: matched ? "matches" : mismatch ?? "does not match"))
    }
    return steps
  }

  private static func mismatches(
    _ rules: PolicyRules, _ question: PolicyQuestion
  ) throws(PolicyQuestionError) -> [(Int, String, String?)] {
    var result: [(Int, String, String?)] = []
    switch question.operation {
    case .file(let operation):
      for (index, rule) in rules.fileRules.enumerated() {
        let applies = rule.operations.contains(FileOperations(operation))
        let why = applies ? pathMismatch(rule.paths, question.subject) : "not for \(operation.word)"
        result.append((index, rule.name, why))
      }
    case .socket(let operation):
      for (index, rule) in rules.unixSocketRules.enumerated() {
        let applies = rule.operations.contains(SocketOperations(operation))
        let why = applies ? pathMismatch(rule.paths, question.subject) : "not for \(operation)"
        result.append((index, rule.name, why))
      }
    case .exec:
      for (index, rule) in rules.commandRules.enumerated() {
        result.append((index, rule.name, try commandMismatch(rule, question)))
      }
    case .connect:
      let destination = try NetworkDestination(question.subject)
      for (index, rule) in rules.networkRules.enumerated() {
        result.append((index, rule.name, destination.mismatch(with: rule)))
      }
    case .signal:
      for (index, rule) in rules.signalRules.enumerated() { result.append((index, rule.name, nil)) }
    }
    return result
  }

  private static func pathMismatch(_ patterns: [String], _ path: String) -> String? {
    for pattern in patterns {
      if let glob = try? Glob(pattern), glob.matches(path) { return nil }
    }
    return "no path matches"
  }

  /// Asks the rule alone, first without its patterns, so that it shows which of the two does not match.
  private static func commandMismatch(
    _ rule: CommandRule, _ question: PolicyQuestion
  ) throws(PolicyQuestionError) -> String? {
    var named = rule
    named.argumentPatterns = []
    named.minDepth = nil
    named.maxDepth = nil
    guard try matches(named, question) else { return "no command matches" }
    named.argumentPatterns = rule.argumentPatterns
    guard try matches(named, question) else { return "the command matches, no args pattern does" }
    return try matches(rule, question) ? nil : "not for commands that agentsh starts itself"
  }

  private static func matches(_ rule: CommandRule, _ question: PolicyQuestion) throws(PolicyQuestionError)
    -> Bool
  {
    var rules = PolicyRules()
    rules.commandRules = [rule]
    do throws(PolicyError) {
      var decider = FileDecider(try CompiledPolicy(rules))
      return decider.explicitCommandDecision(PolicyAnswer.command(question), by: .main) != nil
    } catch { throw .policy(error) }
  }
}
