/// `GET /health` with `Accept: application/json`; without, the answer is the text `ok`, as upstream's.
package struct HealthStatus: Codable, Sendable, Equatable {
  /// `ok`
  package var status: String
  package var version: String
  /// In the daemon's pid namespace.
  package var pid: Int32
  package var uid: UInt32
  /// RFC 3339, UTC.
  package var startedAt: String
  /// The caller's own (all, for uid 0).
  package var sessions: Int
  /// Ends by itself after being idle.
  package var onDemand: Bool

  package init(
    version: String, pid: Int32, uid: UInt32, startedAt: String, sessions: Int, onDemand: Bool
  ) {
    status = "ok"
    self.version = version
    self.pid = pid
    self.uid = uid
    self.startedAt = startedAt
    self.sessions = sessions
    self.onDemand = onDemand
  }

  enum CodingKeys: String, CodingKey {
    case status, version, pid, uid, sessions
    case startedAt = "started_at"
    case onDemand = "on_demand"
  }
}
