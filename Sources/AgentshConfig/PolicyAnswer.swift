package import AgentshPolicy

/// What a policy says to a question, and what comes of it.
package struct PolicyAnswer: Sendable, Equatable {
  package let question: PolicyQuestion
  /// `allow` or `deny`: what happens.
  package let decision: String
  /// The word of the rule.
  package let policyDecision: String
  /// The rule, or the default.
  package let rule: String
  /// The rule's message, and what was not known.
  package let reason: String
  /// The rules that were looked at, in order, and why each matched or not.
  package let trace: [PolicyStep]

  /// Compiles `rules` and answers. Who asks often compiles once and takes the other initializer.
  package init(_ rules: PolicyRules, _ question: PolicyQuestion) throws(PolicyQuestionError) {
    let policy: CompiledPolicy
    do throws(PolicyError) { policy = try CompiledPolicy(rules) } catch { throw .policy(error) }
    try self.init(policy, question)
  }

  /// Answers by the same compiled policy that the supervisor uses; the trace goes through the rules one by one.
  package init(_ policy: CompiledPolicy, _ question: PolicyQuestion) throws(PolicyQuestionError) {
    var decided: Decision
    var remark = ""
    switch question.operation {
    case .file(let operation):
      var decider = FileDecider(policy)
      decided = decider.decide(operation, path: Array(question.subject.utf8).span)
      if let gap = PolicyReader.gap(operation, decided.verdict) {
        remark = "\(gap): the answer is what the file rules say"
      }
    case .socket(let operation):
      var decider = FileDecider(policy)
      decided = decider.decideSocket(operation, path: Array(question.subject.utf8).span)
      if operation == .listen { remark = "only bind is mediated: the answer is what the rules say" }
    case .exec:
      var decider = FileDecider(policy)
      decided = decider.decideCommand(Self.command(question))
    case .connect: (decided, remark) = try Self.connect(policy, question)
    case .signal:
      decided = try Self.signal(policy, question)
    }
    self.question = question
    decision = decided.permits ? "allow" : "deny"
    policyDecision = decided.verdict.word.description
    rule = policy.ruleName(decided)
    reason = [policy.message(decided), remark].filter { !$0.isEmpty }.joined(separator: "; ")
    trace = try PolicyStep.trace(policy.rules, question, decided)
  }

  /// For people: operation, subject, decision, rule and reason.
  package var text: String {
    let word = PolicyQuestion.operations.first { $0.operation == question.operation }?.word ?? ""
    var lines = ["Operation: \(word)", "Path:      \(question.subject)"]
    if !question.arguments.isEmpty { lines.append("Arguments: \(question.arguments.joined(separator: " "))") }
    let verdict = decision == policyDecision ? "" : " (\(policyDecision))"
    lines += ["", "Decision:  \(decision.uppercased())\(verdict)", "Rule:      \(rule)"]
    if !reason.isEmpty { lines.append("Reason:    \(reason)") }
    return lines.joined(separator: "\n")
  }

  /// For people: as `text`, and before it each rule that was looked at.
  package var explanation: String {
    let width = trace.map(\.rule.count).max() ?? 0
    let lines = trace.map { step in
      let name = step.rule + String(repeating: " ", count: max(0, width - step.rule.count))
      return "\(step.matched ? "->" : "  ") \(name)  \(step.why)"
    }
    let head = trace.isEmpty ? "No rule of this list." : "Rules in order, up to the first that matches:"
    return ([head] + lines + ["", text]).joined(separator: "\n")
  }

  static func command(_ question: PolicyQuestion) -> CommandRequest {
    let name = Array(question.subject.utf8)
    return CommandRequest(
      canonical: name, called: name, calledNameCounts: true,
      arguments: Array(question.arguments.joined(separator: " ").utf8), depth: 0)
  }

  private static func connect(
    _ policy: CompiledPolicy, _ question: PolicyQuestion
  ) throws(PolicyQuestionError) -> (Decision, String) {
    let destination = try NetworkDestination(question.subject)
    if let address = destination.address, let port = destination.port {
      return (policy.decideNetwork(address: address, port: port), "")
    }
    for (index, rule) in policy.rules.networkRules.enumerated() where destination.isMatched(by: rule) {
      let decision = Decision(verdict: rule.decision, list: .network, rule: Int32(truncatingIfNeeded: index))
      return (decision, destination.remark)
    }
    return (Decision(.deny, .network, default: .denyNetwork), destination.remark)
  }

  private static func signal(
    _ policy: CompiledPolicy, _ question: PolicyQuestion
  ) throws(PolicyQuestionError) -> Decision {
    let words = question.subject.split(separator: " ")
    let targets = SignalTarget.allCases.filter { ![.user, .process, .pidRange].contains($0) }
    guard words.count == 2, let set = SignalSet(parsing: String(words[0])), set.bits.nonzeroBitCount == 1,
      let target = targets.first(where: { "\($0)" == words[1] })
    else {
      let names = targets.map { "\($0)" }.joined(separator: ", ")
      throw .badSubject(
        "signal", question.subject, "give one signal and its target, as \"SIGTERM children\"; \(names)")
    }
    let receiver = SignalReceiver(relations: SignalTargetSet(target), pid: 0, uid: .max, name: [])
    return policy.decideSignal(Int32(set.bits.trailingZeroBitCount + 1), to: receiver)
  }
}
