import AgentshPolicy

extension PolicyReader {
  private static let signalKeys = [
    "name", "description", "signals", "target", "decision", "fallback", "redirect_to", "message", "timeout",
  ]
  private static let signalVerdicts: [Verdict] = [.allow, .deny, .approve, .audit, .redirect, .absorb]
  private static let targets: [(String, SignalTarget)] = [
    ("self", .`self`), ("children", .children), ("descendants", .descendants), ("siblings", .siblings),
    ("session", .session), ("parent", .parent), ("external", .external), ("system", .system), ("user", .user),
    ("process", .process), ("pid_range", .pidRange),
  ]

  /// Without the list signals are free within the tree, and refused beyond it.
  mutating func readSignalRules(_ fields: Fields) {
    guard fields["signal_rules"] != nil else { return }
    if isEmptyList(fields["signal_rules"]) {
      problems.add(
        fields.place(of: "signal_rules"), "signal_rules has no rules",
        wayOut: "remove it and signals are free within the session, or deny them by a rule")
    }
    for (index, rule) in list(fields, "signal_rules", Self.signalKeys).enumerated() {
      readSignalRule(rule, index)
    }
  }

  private mutating func readSignalRule(_ fields: Fields, _ index: Int) {
    var signals: UInt64 = 0
    var target = SignalTarget.external
    for (text, place) in fields["signals"]?.texts("signals", &problems) ?? [] {
      if let set = SignalSet(parsing: text) {
        signals |= set.bits
      } else {
        problems.add(
          place, "\"\(text)\" is no signal",
          wayOut: "a name, a number, @all, @fatal, @job, @reload or @ignore")
      }
    }
    if fields["signals"] == nil || isEmptyList(fields["signals"]) {
      problems.add(
        fields.place(of: "signals"), "this rule of signal_rules has no signals", wayOut: "[\"@all\"]")
    }
    let aim = fields["target"].flatMap {
      Fields($0, "target", keys: ["type", "pattern", "min", "max"], &problems)
    }
    if let node = aim?["type"] {
      target = node.word("type", Self.targets, &problems) ?? .external
    } else {
      problems.add(aim?.place ?? fields.place, "this rule of signal_rules has no target type")
    }
    var rule = SignalRule(
      name: name(fields, "signal_rules", index: index), signals: signals, target: target,
      decision: signalDecision(fields))
    rule.description = text(fields, "description", &problems)
    rule.message = text(fields, "message", &problems)
    _ = timeout(fields, "signal_rules", rule.decision)
    // For systems that cannot redirect or absorb: this one can, so it is never used.
    if let node = fields["fallback"] {
      rule.fallback = node.word("fallback", Self.signalVerdicts.map { ($0.word.description, $0) }, &problems)
    }
    if let aim { readSignalTarget(aim, &rule) }
    readSignalRedirect(fields, &rule)
    rules.signalRules.append(rule)
    places[.signal, default: []].append(RulePlaces(rule: fields.place))
  }

  /// As `decision`, where redirect and absorb are carried out.
  private mutating func signalDecision(_ fields: Fields) -> Verdict {
    guard let node = fields["decision"] else {
      problems.add(fields.place, "this rule of signal_rules has no decision")
      return .deny
    }
    let verdict =
      node.word("decision", Self.signalVerdicts.map { ($0.word.description, $0) }, &problems) ?? .deny
    if verdict == .approve {
      note(node.place, "signals are not held for approval: approve is carried out as deny")
    }
    return verdict
  }

  private mutating func readSignalTarget(_ aim: Fields, _ rule: inout SignalRule) {
    let pattern = aim["pattern"]?.text("pattern", &problems)
    let lowest = aim["min"]?.integer("min", in: 1...Int(Int32.max), &problems)
    let highest = aim["max"]?.integer("max", in: 1...Int(Int32.max), &problems)
    rule.targetPattern = pattern
    rule.targetMin = lowest.map { Int32($0) }
    rule.targetMax = highest.map { Int32($0) }
    let wantsPattern = rule.target == .user || rule.target == .process
    if wantsPattern, pattern == nil { problems.add(aim.place, "this target type needs a pattern") }
    if !wantsPattern, pattern != nil {
      problems.add(aim.place(of: "pattern"), "pattern has no meaning for this target type")
    }
    if rule.target == .pidRange {
      if lowest == nil || highest == nil { problems.add(aim.place, "pid_range needs min and max") }
      if let lowest, let highest, lowest > highest { problems.add(aim.place, "min is greater than max") }
    } else if lowest != nil || highest != nil {
      problems.add(aim.place, "min and max are for the target type pid_range only")
    }
  }

  private mutating func readSignalRedirect(_ fields: Fields, _ rule: inout SignalRule) {
    guard let node = fields["redirect_to"] else {
      if rule.decision == .redirect {
        problems.add(fields.place, "decision: redirect needs redirect_to, a signal")
      }
      return
    }
    guard rule.decision == .redirect else {
      problems.add(fields.place(of: "redirect_to"), "redirect_to has no meaning without decision: redirect")
      return
    }
    guard let text = node.text("redirect_to", &problems) else { return }
    guard let set = SignalSet(parsing: text), set.bits.nonzeroBitCount == 1 else {
      problems.add(node.place, "\"\(text)\" is not one signal", wayOut: "such as SIGTERM")
      return
    }
    rule.redirectTo = Int32(set.bits.trailingZeroBitCount + 1)
  }
}
