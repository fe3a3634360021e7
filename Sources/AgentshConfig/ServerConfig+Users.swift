/// What one user may use of a daemon that serves many. Reaching one is that user's error alone.
package struct UserLimits: Sendable, Equatable {
  package var sessions = 256
  /// Programs that run or are being started, each with its supervisor.
  package var launches = 64
  /// Open connections to the API.
  package var connections = 128
  /// Over it the user's supervisors wait, and with them the calls that make events. A burst of five seconds is let through.
  package var eventsPerSecond = 20_000
  /// For all spools together; each launch has its share, or `spool.limit_mb` where that is less.
  package var spoolBytes: UInt64 = 4096 << 20
  /// Calls that wait for approval; over it they are denied.
  package var approvals = 64

  package init() {}

  package var spoolBytesPerLaunch: UInt64 { max(1 << 20, spoolBytes / UInt64(max(1, launches))) }
}

/// Policies that some may ask for beyond what everybody may, by the name (or number) of user or group.
package struct PolicyGrants: Sendable, Equatable {
  package var users: [String: [String]] = [:]
  package var groups: [String: [String]] = [:]
  package init() {}
  package var isEmpty: Bool { users.isEmpty && groups.isEmpty }
}

/// Whether users may bring a policy of their own: not at all, in place of the operator's, or to narrow it.
package enum UserFiles: String, Sendable, CaseIterable { case refuse, allow, combine }

extension ServerConfig {
  mutating func readLimits(_ node: YAMLNode, _ problems: inout Problems) {
    let keys = ["sessions", "launches", "connections", "events_per_second", "spool_mb", "approvals"]
    guard let fields = Fields(node, "limits", keys: keys, &problems) else { return }
    func number(_ key: String, _ range: ClosedRange<Int>) -> Int? {
      fields[key]?.integer(key, in: range, &problems)
    }
    if let value = number("sessions", 1...100_000) { limits.sessions = value }
    if let value = number("launches", 1...10_000) { limits.launches = value }
    if let value = number("connections", 1...100_000) { limits.connections = value }
    if let value = number("events_per_second", 1...10_000_000) { limits.eventsPerSecond = value }
    if let value = number("spool_mb", 1...10_000_000) { limits.spoolBytes = UInt64(value) << 20 }
    if let value = number("approvals", 1...1024) { limits.approvals = value }
  }

  mutating func readApprovals(_ node: YAMLNode, _ problems: inout Problems) {
    guard let fields = Fields(node, "approvals", keys: ["timeout", "self_approve"], &problems) else { return }
    if let node = fields["timeout"], let time = node.duration("timeout", &problems) {
      approvalTimeout = node.waiting(time, "timeout", &problems) ?? approvalTimeout
    }
    if let node = fields["self_approve"] { selfApprove = node.bool("self_approve", &problems) }
  }

  mutating func readRoles(_ node: YAMLNode, _ problems: inout Problems) {
    guard let fields = Fields(node, "roles", keys: ["admin_groups", "approver_groups"], &problems) else {
      return
    }
    if let node = fields["approver_groups"] {
      approverGroups = node.texts("approver_groups", &problems).map(\.text)
    }
    if let node = fields["admin_groups"] {
      adminGroups = node.texts("admin_groups", &problems).map(\.text)
    }
  }

  mutating func readGrants(_ fields: Fields, _ problems: inout Problems) {
    if let node = fields["users"] { policyGrants.users = grants(node, "users", &problems) }
    if let node = fields["groups"] { policyGrants.groups = grants(node, "groups", &problems) }
    guard let node = fields["user_files"] else { return }
    userFiles = node.word("user_files", UserFiles.allCases.map { ($0.rawValue, $0) }, &problems)
  }

  private func grants(
    _ node: YAMLNode, _ what: String, _ problems: inout Problems
  ) -> [String: [String]] {
    var result: [String: [String]] = [:]
    for (name, _, value) in node.textMap(what, &problems) {
      for (text, place) in value.texts("\(what).\(name)", &problems) {
        if isPolicyName(text) {
          result[name, default: []].append(text)
        } else {
          problems.add(place, "\"\(text)\" is no policy name")
        }
      }
    }
    return result
  }
}
