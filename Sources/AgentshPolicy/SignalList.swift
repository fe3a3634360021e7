/// What a signal's receiver is to its sender: several may hold.
package struct SignalTargetSet: OptionSet, Sendable, Equatable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }
  package init(_ target: SignalTarget) { self.init(rawValue: 1 << UInt16(target.rawValue)) }
}

/// Who receives a signal.
package struct SignalReceiver: Sendable {
  /// `process`, `user` and `pidRange` need not be set: they follow from the fields.
  package var relations: SignalTargetSet
  package var pid: Int32
  package var uid: UInt32
  /// Base name of its program.
  package var name: [UInt8]

  package init(relations: SignalTargetSet, pid: Int32, uid: UInt32, name: [UInt8]) {
    self.relations = relations
    self.pid = pid
    self.uid = uid
    self.name = name
  }
}

/// The signal rules, compiled.
struct SignalList: Sendable {
  struct Rule: Sendable {
    let rule: SignalRule
    let uid: UInt32?
    let name: GlobProgram?

    func matches(_ receiver: SignalReceiver) -> Bool {
      switch rule.target {
      case .user: uid == receiver.uid
      case .process: name?.matches(receiver.name.span) ?? false
      case .pidRange: receiver.pid >= rule.targetMin ?? 1 && receiver.pid <= rule.targetMax ?? .max
      default: receiver.relations.contains(SignalTargetSet(rule.target))
      }
    }
  }

  let rules: [Rule]

  init(_ rules: [SignalRule]) throws(PolicyError) {
    var compiled: [Rule] = []
    for (index, rule) in rules.enumerated() {
      func refused(_ offset: Int?, _ cause: String) -> PolicyError {
        PolicyError(
          list: .signal, ruleIndex: index, rule: rule.name, field: "target.pattern", item: 0, offset: offset,
          cause: cause)
      }
      var uid: UInt32?
      var name: GlobProgram?
      if rule.target == .user {
        uid = UInt32(rule.targetPattern ?? "")
        if uid == nil { throw refused(nil, "a user is a number") }
      }
      if rule.target == .process {
        do throws(PatternError) {
          name = GlobProgram([(0, try GlobPattern(rule.targetPattern ?? ""))])
        } catch {
          throw refused(error.offset, error.cause)
        }
      }
      compiled.append(Rule(rule: rule, uid: uid, name: name))
    }
    self.rules = compiled
  }
}

extension SignalList {
  /// The first rule's decision, or the default's.
  func decide(_ signal: Int32, to receiver: SignalReceiver) -> Decision {
    for (index, rule) in rules.enumerated() {
      let isNamed =
        signal == 0 || ((1...64).contains(signal) && rule.rule.signals & (1 << UInt64(signal - 1)) != 0)
      if isNamed, rule.matches(receiver) {
        return Decision(verdict: rule.rule.decision, list: .signal, rule: Int32(truncatingIfNeeded: index))
      }
    }
    return Decision(.deny, .signal, default: .denySignals)
  }
}
