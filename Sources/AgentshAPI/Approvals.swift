/// A call that waits until somebody approves it: `GET /api/v1/approvals`. Field names are upstream's.
package struct WaitingApproval: Codable, Sendable, Equatable {
  package var id: String
  /// RFC 3339, UTC.
  package var createdAt: String
  /// When it is denied without a word.
  package var expiresAt: String
  package var sessionID: String
  /// Ours: whose session it is; two users may have one of this name.
  package var ownerUID: UInt32
  /// `command`, `file`, `network` or `unix_socket`.
  package var kind: String
  /// What the call is about: canonical path, socket, `address:port`.
  package var target: String
  /// The rule that asks.
  package var rule: String
  /// The rule's; empty where it has none.
  package var message: String
  package var fields: Fields

  package struct Fields: Codable, Sendable, Equatable {
    /// A command's arguments, without its own name.
    package var args: [String]?
    /// Of a command, its name as called; otherwise the name of the program that calls.
    package var command: String
    package var operation: String?
    /// rename and link: the other name; symlink: where it leads.
    package var path2: String?
    /// Of the calling process, in the daemon's pid namespace.
    package var pid: Int32

    package init(args: [String]?, command: String, operation: String?, path2: String?, pid: Int32) {
      self.args = args
      self.command = command
      self.operation = operation
      self.path2 = path2
      self.pid = pid
    }
  }

  package init(
    id: String, createdAt: String, expiresAt: String, sessionID: String, ownerUID: UInt32, kind: String,
    target: String, rule: String, message: String, fields: Fields
  ) {
    self.id = id
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.sessionID = sessionID
    self.ownerUID = ownerUID
    self.kind = kind
    self.target = target
    self.rule = rule
    self.message = message
    self.fields = fields
  }

  enum CodingKeys: String, CodingKey {
    case id, kind, target, rule, message, fields
    case createdAt = "created_at"
    case expiresAt = "expires_at"
    case sessionID = "session_id"
    case ownerUID = "owner_uid"
  }
}

/// `POST /api/v1/approvals/{id}`. Unknown fields are errors.
package struct ResolveApprovalRequest: Codable, Sendable, Equatable {
  package enum Decision: String, Codable, Sendable { case approve, deny }
  /// Bytes that a reason may have.
  package static let reasonLimit = 1024

  package var decision: Decision
  /// For the record.
  package var reason: String?

  package init(_ decision: Decision, reason: String? = nil) {
    self.decision = decision
    self.reason = reason
  }

  enum CodingKeys: String, CodingKey, CaseIterable { case decision, reason }

  package init(from decoder: any Decoder) throws {
    try refuseUnknownFields(of: CodingKeys.self, in: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    decision = try fields.decode(Decision.self, forKey: .decision)
    reason = try fields.decodeIfPresent(String.self, forKey: .reason)
  }
}

/// What is said when something was done that has no other answer.
package struct Done: Codable, Sendable, Equatable {
  package var ok = true
  package init() {}
}
