/// `POST /api/v1/policy/test`: what would be decided, without doing it. Unknown fields are errors.
package struct PolicyTestRequest: Codable, Sendable, Equatable {
  /// Whose policy; nil: the one that `policy` names, for no session.
  package var sessionID: String?
  /// `file_read`, `file_write`, … `net_connect`, `exec`, `unix_connect`, …
  package var operation: String
  /// A path, `host:port`, or the command.
  package var path: String
  /// Ours: a policy's name, where no session is given.
  package var policy: String?
  /// Ours: arguments of the command for `exec`.
  package var args: [String]?

  package init(operation: String, path: String) {
    self.operation = operation
    self.path = path
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case operation, path, policy, args
    case sessionID = "session_id"
  }

  package init(from decoder: any Decoder) throws {
    try refuseUnknownFields(of: CodingKeys.self, in: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    operation = try fields.decode(String.self, forKey: .operation)
    path = try fields.decode(String.self, forKey: .path)
    sessionID = try fields.decodeIfPresent(String.self, forKey: .sessionID)
    policy = try fields.decodeIfPresent(String.self, forKey: .policy)
    args = try fields.decodeIfPresent([String].self, forKey: .args)
  }
}

package struct PolicyTestResponse: Codable, Sendable, Equatable {
  /// What would happen: `allow`, `deny`, or `approve` (the call waits for somebody).
  package var decision: String
  /// What the rule says: allow, deny, approve, audit, redirect, soft_delete, absorb.
  package var policyDecision: String
  /// The rule's message; empty when it has none.
  package var reason: String
  package var rule: String

  package init(decision: String, policyDecision: String, reason: String, rule: String) {
    self.decision = decision
    self.policyDecision = policyDecision
    self.reason = reason
    self.rule = rule
  }

  enum CodingKeys: String, CodingKey {
    case decision, reason, rule
    case policyDecision = "policy_decision"
  }
}

/// `GET /api/v1/policies`
package struct PolicyList: Codable, Sendable, Equatable {
  package var policies: [Entry]
  package init(policies: [Entry]) { self.policies = policies }

  package struct Entry: Codable, Sendable, Equatable {
    package var name: String
    package var description: String
    /// nil: built in.
    package var file: String?
    package init(name: String, description: String, file: String?) {
      self.name = name
      self.description = description
      self.file = file
    }
  }
}
