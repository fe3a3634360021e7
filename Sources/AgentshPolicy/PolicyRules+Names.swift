extension PolicyRules {
  /// The name of rule number `rule` of a list (`RuleList.rawValue`), of the default below zero, or what it is called
  /// where it has no name: never empty.
  package func ruleName(list: UInt8, rule: Int32) -> String {
    if let given = Decision.Default(rawValue: rule) { return "\(given.name)" }
    let index = Int(rule)
    let name: String? =
      switch RuleList(rawValue: list) {
      case .file: fileRules.element(index)?.name
      case .command: commandRules.element(index)?.name
      case .network: networkRules.element(index)?.name
      case .unixSocket: unixSocketRules.element(index)?.name
      case .signal: signalRules.element(index)?.name
      case nil: nil
      }
    if let name, !name.isEmpty { return name }
    return "rule-\(rule + 1)"
  }

  /// The message of a rule; empty for defaults and unknown rules.
  package func message(list: RuleList, rule: Int32) -> String {
    let index = Int(rule)
    return switch list {
    case .file: fileRules.element(index)?.message ?? ""
    case .command: commandRules.element(index)?.message ?? ""
    case .network: networkRules.element(index)?.message ?? ""
    case .unixSocket: unixSocketRules.element(index)?.message ?? ""
    case .signal: signalRules.element(index)?.message ?? ""
    }
  }

  /// How long a rule lets a call wait for approval, in seconds; nil where it does not say.
  package func timeout(list: RuleList, rule: Int32) -> UInt32? {
    let index = Int(rule)
    return switch list {
    case .file: fileRules.element(index)?.timeoutSeconds
    case .command: commandRules.element(index)?.timeoutSeconds
    case .network: networkRules.element(index)?.timeoutSeconds
    case .unixSocket: unixSocketRules.element(index)?.timeoutSeconds
    case .signal: nil
    }
  }
}

extension Array {
  fileprivate func element(_ index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
