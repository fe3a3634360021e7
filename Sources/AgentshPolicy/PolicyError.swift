/// Why a glob, a regular expression or another pattern is refused, and at which byte of it.
package struct PatternError: Error, Equatable, Sendable, CustomStringConvertible {
  package let offset: Int
  package let cause: String

  package init(offset: Int, cause: String) {
    self.offset = offset
    self.cause = cause
  }

  package var description: String { "\(cause) at offset \(offset)" }
}

/// Why a policy does not compile: which rule, which of its fields, and for patterns the byte.
package struct PolicyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// nil: not in a list (the floor).
  package let list: RuleList?
  /// Index in its list.
  package let ruleIndex: Int
  package let rule: String
  /// The key in the policy file.
  package let field: String
  /// Index in the field where that is a list.
  package let item: Int
  package let offset: Int?
  package let cause: String

  package var description: String {
    let place = list.map { "\($0) rule \(ruleIndex + 1) (\(rule)), " } ?? ""
    return "\(place)\(field)[\(item)]: \(cause)" + (offset.map { " at offset \($0)" } ?? "")
  }
}
