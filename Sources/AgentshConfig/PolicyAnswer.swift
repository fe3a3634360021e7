package import AgentshPolicy

/// What a policy says to a question, and what comes of it.
package struct PolicyAnswer: Sendable, Equatable {
  package let question: PolicyQuestion
  /// `allow`, `deny`, or `approve`: what happens.
  package let decision: String
  /// The word of the rule.
  package let policyDecision: String
  /// The rule, or the default.
  package let rule: String
  /// The rule's message, and what was not known.
  package let reason: String
  /// The rules that were looked at, in order, and why each matched or not.
  package let trace: [PolicyStep]
  /// There are two policies: the trace is the one's and then the other's.
  private let isNarrowed: Bool

  /// Compiles `rules` and answers. Who asks often compiles once and takes the other initializer.
  package init(
    _ rules: SessionRules, _ question: PolicyQuestion, mounts: MountTable? = nil
  ) throws(PolicyQuestionError) {
    let policy: CompiledPolicy
    do throws(PolicyError) { policy = try CompiledPolicy(rules) } catch { throw .policy(error) }
    try self.init(policy, question, mounts: mounts)
  }

  /// Answers by the same compiled policy that the supervisor uses; the trace goes through the rules one by one.
  /// `mounts`: those there are where the command would run.
  package init(
    _ policy: CompiledPolicy, _ question: PolicyQuestion, mounts: MountTable? = nil
  ) throws(PolicyQuestionError) {
    var decided: Decision
    var remark = ""
    switch question.operation {
    case .file(let operation):
      var decider = FileDecider(policy, mounts: mounts)
      decided = decider.decide(operation, path: Array(question.subject.utf8).span)
      if let gap = PolicyReader.gap(operation, decided.verdict) {
        remark = "\(gap): the answer is what the file rules say"
      }
    case .socket(let operation):
      var decider = FileDecider(policy, mounts: mounts)
      decided = decider.decideSocket(operation, path: Array(question.subject.utf8).span)
      if operation == .listen { remark = "only bind is mediated: the answer is what the rules say" }
    case .exec:
      var decider = FileDecider(policy, mounts: mounts)
      decided = decider.decideCommand(Self.command(question))
    case .connect: (decided, remark) = try Self.connect(policy, question)
    case .signal:
      decided = try Self.signal(policy, question)
    }
    if [.file, .unixSocket, .command].contains(decided.list),
      let names = mounts?.others(than: question.subject),
      !names.isEmpty
    {
      remark = [remark, "also mounted as " + names.joined(separator: ", ")].filter { !$0.isEmpty }.joined(
        separator: "; ")
    }
    self.question = question
    let waits = decided.asks && decided.list != .signal
    decision = decided.permits || decided.softDeletes ? "allow" : waits ? "approve" : "deny"
    if decided.asks, !waits { remark = "signals are not held for approval: carried out as deny" }
    policyDecision = decided.verdict.word.description
    rule = policy.ruleName(decided)
    reason = [policy.message(decided), remark].filter { !$0.isEmpty }.joined(separator: "; ")
    trace = try Self.trace(policy, question, decided, mounts)
    isNarrowed = policy.rules.narrowing != nil
  }

  /// Of two policies each one's, as if it were alone.
  private static func trace(
    _ policy: CompiledPolicy, _ question: PolicyQuestion, _ decided: Decision, _ mounts: MountTable?
  ) throws(PolicyQuestionError) -> [PolicyStep] {
    guard let narrowing = policy.rules.narrowing else {
      return try PolicyStep.trace(policy.rules.main, question, decided)
    }
    let own = try PolicyAnswer(SessionRules(policy.rules.main), question, mounts: mounts).trace
    return try own
      + PolicyAnswer(SessionRules(narrowing), question, mounts: mounts).trace.map {
        PolicyStep(rule: SessionRules.narrowingMark + $0.rule, matched: $0.matched, why: $0.why)
      }
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
    let order =
      isNarrowed
      ? "Each policy's rules in order, up to the first that matches; the stricter counts:"
      : "Rules in order, up to the first that matches:"
    let head = trace.isEmpty ? "No rule of this list." : order
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
    var result: Decision?
    for source in policy.sources {
      let rules = policy.rules[source]?.networkRules ?? []
      let index = rules.firstIndex { destination.isMatched(by: $0) }
      let decision = Decision(
        verdict: index.map { rules[$0].decision } ?? .deny, list: .network,
        rule: index.map { Int32(truncatingIfNeeded: $0) } ?? Decision.Default.denyNetwork.rawValue,
        source: source)
      result = result?.stricter(decision) ?? decision
    }
    return (result ?? Decision(.deny, .network, default: .denyNetwork), destination.remark)
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
    var relations = SignalTargetSet(target)
    // These are in the session.
    if [.`self`, .children, .descendants].contains(target) { relations.formUnion(SignalTargetSet(.session)) }
    let receiver = SignalReceiver(relations: relations, pid: 0, uid: .max, name: [])
    return policy.decideSignal(Int32(set.bits.trailingZeroBitCount + 1), to: receiver)
  }
}
