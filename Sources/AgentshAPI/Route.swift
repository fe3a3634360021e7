/// The API's paths. `openapi.yaml` has the same list, and a test holds the two together.
package enum Route {
  package static let health = "/health"
  package static let ready = "/ready"
  package static let sessions = "/api/v1/sessions"
  package static let launches = "/api/v1/launches"
  package static let eventSearch = "/api/v1/events/search"
  package static let policyTest = "/api/v1/policy/test"
  package static let policies = "/api/v1/policies"
  package static let approvals = "/api/v1/approvals"

  package static func session(_ id: String) -> String { "\(sessions)/\(id)" }
  package static func wrapInit(_ id: String) -> String { "\(sessions)/\(id)/wrap-init" }
  package static func history(_ id: String) -> String { "\(sessions)/\(id)/history" }
  package static func approval(_ id: String) -> String { "\(approvals)/\(id)" }
  package static func events(_ id: String) -> String { "\(sessions)/\(id)/events" }

  /// Every operation, with OpenAPI's placeholder for the id.
  package static let all: [(method: String, path: String)] = [
    ("GET", health), ("GET", ready),
    ("POST", sessions), ("GET", sessions),
    ("GET", session("{id}")), ("DELETE", session("{id}")),
    ("POST", wrapInit("{id}")), ("POST", launches), ("GET", history("{id}")), ("GET", events("{id}")),
    ("GET", eventSearch), ("POST", policyTest), ("GET", policies),
    ("GET", approvals), ("POST", approval("{id}")),
  ]
}

/// Query parameters of `Route.eventSearch`; `history` takes type, decision, path, since, until, limit and order.
package enum EventQueryKey: String, Sendable, CaseIterable {
  case sessionID = "session_id"
  case type, decision, path
  /// RFC 3339. The command line turns a duration (`5m`) into it.
  case since, until
  /// At most `eventLimit`; 100 when absent.
  case limit
  /// `asc` or `desc` (default) by time.
  case order

  package static let eventLimit = 10_000
  package static let defaultLimit = 100
}

/// The product's version.
package enum AgentshVersion {
  package static let text = "0.1.0"
}
