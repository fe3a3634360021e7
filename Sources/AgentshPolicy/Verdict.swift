/// What a rule says. `approve` is a deny until somebody has approved the one call that asks (`Approval`).
package enum Verdict: UInt8, Sendable, CaseIterable {
  case allow, deny, approve, audit, redirect, softDelete, absorb

  /// The word in policy files.
  package var word: StaticString {
    switch self {
    case .allow: "allow"
    case .deny: "deny"
    case .approve: "approve"
    case .audit: "audit"
    case .redirect: "redirect"
    case .softDelete: "soft_delete"
    case .absorb: "absorb"
    }
  }
}

/// The lists of a policy; with an index it names a rule.
package enum RuleList: UInt8, Sendable, CaseIterable { case file, command, network, unixSocket, signal }

/// Whose rule it is: the operator's (or the only policy's), or the user's own that narrows it.
package enum PolicySource: UInt8, Sendable, CaseIterable { case main, narrowing }

/// What became of a call that a rule wants approved. Without an answer it is not permitted.
package enum Approval: UInt8, Sendable, CaseIterable {
  /// Nobody has been asked, or nobody need be.
  case none
  case approved, denied
  /// Nobody answered in time.
  case timedOut
  /// As many calls wait as the operator lets one user have waiting.
  case limit
  /// When it was resolved again after the wait, the call meant something else than what was approved.
  case changed

  /// For events; nil where there is nothing to say.
  package var reason: StaticString? {
    switch self {
    case .none, .approved: nil
    case .denied: "approval denied"
    case .timedOut: "approval timeout"
    case .limit: "too many approvals wait (limits.approvals)"
    case .changed: "the call meant something else than what was approved"
    }
  }
}

/// One decision: the verdict and the rule that gave it. Eight bytes, no references.
package struct Decision: Equatable, Sendable {
  package let verdict: Verdict
  /// For `approve`: what was answered.
  package private(set) var approval = Approval.none
  package let list: RuleList
  package let source: PolicySource
  /// Index into the list, or a `Default`'s raw value below zero.
  package let rule: Int32

  package init(verdict: Verdict, list: RuleList, rule: Int32, source: PolicySource = .main) {
    self.verdict = verdict
    self.list = list
    self.source = source
    self.rule = rule
  }

  package init(_ verdict: Verdict, _ list: RuleList, default given: Default) {
    self.init(verdict: verdict, list: list, rule: given.rawValue)
  }

  /// Outcomes that no rule of the file gave.
  package enum Default: Int32, Sendable, CaseIterable {
    case allowReads = -1, denyReads = -2, denyFiles = -3, denyCommands = -4, denyExecve = -5, denyNetwork = -6
    case denyUnix = -7, denySignals = -8
    /// Our own runtime directory, state, policies and programs: denied before every policy.
    case floor = -9
    /// The request could not be read, resolved or understood.
    case unresolved = -10
    /// Belongs to the mechanism itself and is allowed whatever the policy says (our own launch).
    case mechanism = -11

    package var name: StaticString {
      switch self {
      case .allowReads: "default-allow-reads"
      case .denyReads: "default-deny-reads"
      case .denyFiles: "default-deny-files"
      case .denyCommands: "default-deny-commands"
      case .denyExecve: "default-deny-execve"
      case .denyNetwork: "default-deny-network"
      case .denyUnix: "default-deny-unix"
      case .denySignals: "default-deny-signals"
      case .floor: "agentsh-floor"
      case .unresolved: "agentsh-unresolved"
      case .mechanism: "agentsh-mechanism"
      }
    }
  }

  /// Whether the operation may go on as it is. What waits for an answer, what is carried out in another way (soft_delete,
  /// a signal's absorb and redirect), and what cannot be carried out yet (redirect), may not.
  package var permits: Bool { verdict == .allow || verdict == .audit || approval == .approved }

  /// Whether what is deleted goes to the trash.
  package var softDeletes: Bool { verdict == .softDelete }

  /// Whether somebody is to be asked before anything is done.
  package var asks: Bool { verdict == .approve && approval == .none }

  /// The same with what came of asking. Of another verdict than `approve` itself: there is nothing to approve.
  package func answered(_ answer: Approval) -> Decision {
    guard verdict == .approve else { return self }
    var result = self
    result.approval = answer
    return result
  }

  /// Verdict and approval in one byte, as events carry them: the approval is the upper half.
  package var verdictCode: UInt8 { verdict.rawValue | approval.rawValue << 4 }

  /// The halves of a `verdictCode`; nil for what is none.
  package static func halves(ofCode code: UInt8) -> (verdict: Verdict, approval: Approval)? {
    guard let verdict = Verdict(rawValue: code & 0x0f), let approval = Approval(rawValue: code >> 4) else {
      return nil
    }
    return (verdict, approval)
  }

  /// As deny, by the same rule: where what it permits cannot be carried out as it is meant.
  package var denied: Decision { Decision(verdict: .deny, list: list, rule: rule, source: source) }

  /// The same, as the decision of `source`.
  func by(_ source: PolicySource) -> Decision {
    Decision(verdict: verdict, list: list, rule: rule, source: source)
  }

  /// List and source in one byte, as events carry it (`SessionRules.ruleName`): the source is the highest bit.
  package var listCode: UInt8 { list.rawValue | (source == .narrowing ? Self.narrowingBit : 0) }
  static let narrowingBit: UInt8 = 0x80
}
