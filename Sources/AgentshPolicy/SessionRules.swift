/// What a session is decided by: one policy, or the operator's and beside it a user's own, which may only narrow it. Each
/// decides for itself and the stricter decision counts; what cannot be said by both together does not come to be.
package struct SessionRules: Sendable, Equatable {
  /// The operator's, or the only one.
  package let main: PolicyRules
  package let narrowing: PolicyRules?
  /// What reaches the agent by both.
  package let environment: EnvironmentRules

  /// A policy that nothing narrows.
  package init(_ main: PolicyRules) {
    self.main = main
    narrowing = nil
    environment = main.environment
  }

  package init(_ main: PolicyRules, narrowedBy other: PolicyRules) throws(CombinationError) {
    self.main = main
    narrowing = other
    environment = try main.environment.narrowed(by: other.environment)
  }

  package subscript(_ source: PolicySource) -> PolicyRules? {
    switch source {
    case .main: main
    case .narrowing: narrowing
    }
  }

  /// As sessions show it.
  package var name: String { narrowing.map { "\(main.name) + \($0.name)" } ?? main.name }

  /// Whether what is allowed is recorded: where either wants it.
  package var logAllowed: Bool { main.audit.logAllowed || narrowing?.audit.logAllowed ?? false }

  package var hasSignalRules: Bool {
    !main.signalRules.isEmpty || narrowing.map { !$0.signalRules.isEmpty } ?? false
  }

  /// `PolicyRules.tellsDepths` of either.
  package var tellsDepths: Bool { main.tellsDepths || narrowing?.tellsDepths ?? false }

  /// What both permit, where neither has rules that it gets around.
  package var permissions: Permissions {
    hasSignalRules || tellsDepths ? [] : main.permissions.intersection(narrowing?.permissions ?? .all)
  }

  /// `PolicyRules.restricted` of both.
  package var restricted: FileOperations { main.restricted.union(narrowing?.restricted ?? []) }

  /// Before the names of a user's own rules and defaults: nobody takes one for the operator's.
  package static let narrowingMark = "user:"

  /// The name of a rule or default; `list` is a `Decision.listCode`.
  package func ruleName(list: UInt8, rule: Int32) -> String {
    let code = list & ~Decision.narrowingBit
    guard list != code, let narrowing else { return main.ruleName(list: list, rule: rule) }
    return Self.narrowingMark + narrowing.ruleName(list: code, rule: rule)
  }

  /// The message of a rule; empty for defaults and unknown rules. `list` is a `Decision.listCode`.
  package func message(list: UInt8, rule: Int32) -> String {
    let code = list & ~Decision.narrowingBit
    guard let known = RuleList(rawValue: code) else { return "" }
    return self[list == code ? .main : .narrowing]?.message(list: known, rule: rule) ?? ""
  }
}
