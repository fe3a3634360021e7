/// One thing that happened in a session, with upstream's field names (events-one-per-type.jsonl).
package struct Event: Sendable, Equatable {
  package var id: String
  /// Nanoseconds since 1970-01-01 UTC.
  package var timestamp: UInt64
  package var type: String
  package var sessionID: String
  package var commandID: String?
  /// `seccomp` for what the supervisor mediated.
  package var source: String?
  package var pid: Int32?
  package var policy: PolicyOutcome?
  package var parentPid: Int32?
  package var depth: UInt32?
  /// Canonical path.
  package var path: String?
  package var operation: String?
  package var filename: String?
  package var rawFilename: String?
  package var argv: [String]?
  package var domain: String?
  package var remote: String?
  package var effectiveAction: String?
  package var fields: [(key: String, value: EventValue)] = []

  package init(id: String, timestamp: UInt64, type: String, sessionID: String) {
    self.id = id
    self.timestamp = timestamp
    self.type = type
    self.sessionID = sessionID
  }

  package static func == (a: Event, b: Event) -> Bool { a.json == b.json }
}

/// What the policy said, and what came of it.
package struct PolicyOutcome: Sendable, Equatable {
  package var decision: String
  package var effectiveDecision: String
  package var rule: String
  package var message: String?
  package var needsApproval: Bool
  package init(
    decision: String, effectiveDecision: String, rule: String, message: String? = nil,
    needsApproval: Bool = false
  ) {
    self.decision = decision
    self.effectiveDecision = effectiveDecision
    self.rule = rule
    self.message = message
    self.needsApproval = needsApproval
  }
}

/// A value in an event's `fields`.
package enum EventValue: Sendable, Equatable {
  case text(String)
  case number(Int64)
  case flag(Bool)
  case list([String])
}
