import GRDB

/// Which events are wanted. Everything that is given must hold.
package struct EventQuery: Sendable, Equatable {
  package enum Order: String, Sendable { case ascending = "asc", descending = "desc" }
  /// No answer holds more.
  package static let limitMaximum = 10_000
  package static let limitDefault = 200

  /// nil: everybody's, for an administrator.
  package var owner: UInt32?
  package var sessionID: String?
  /// Any of these; empty: all.
  package var types: [String] = []
  /// What the policy said, or what came of it: either may be this word.
  package var decision: String?
  /// A name and everything below it; with `*`, `?` or `[`, a pattern over the whole path in which `*` also takes `/`.
  package var path: String?
  /// Nanoseconds since 1970, inclusive.
  package var since: UInt64?
  /// Nanoseconds since 1970, exclusive.
  package var until: UInt64?
  /// Only what was stored after this position.
  package var after: Int64?
  package var limit = EventQuery.limitDefault
  package var order = Order.ascending

  package init(owner: UInt32?) { self.owner = owner }
}

extension EventQuery {
  /// The statement and its values, in the order of the question marks.
  var sql: (text: String, values: StatementArguments) {
    var conditions: [String] = []
    var values: [(any DatabaseValueConvertible)?] = []
    func add(_ condition: String, _ given: any DatabaseValueConvertible...) {
      conditions.append(condition)
      values += given
    }
    if let owner { add("owner = ?", Int64(owner)) }
    if let sessionID { add("session = \(Self.name)", sessionID) }
    if !types.isEmpty {
      let marks = types.map { _ in "?" }.joined(separator: ", ")
      conditions.append("type IN (SELECT id FROM names WHERE text IN (\(marks)))")
      values += types
    }
    if let decision { add(Self.decided(decision, inSession: sessionID != nil), decision, decision) }
    if let path { addPath(path, add) }
    // Events are stored about in the order of their times: from which position on is asked of the index of times, which
    // the plus sign says, and not of the events one after the other.
    if let since {
      let time = Int64(clamping: since)
      add("time >= ? AND position >= (SELECT min(+position) FROM events WHERE time >= ?)", time, time)
    }
    if let until { add("time < ?", Int64(clamping: until)) }
    if let after { add("position > ?", after) }
    let filter = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
    let direction = order == .ascending ? "ASC" : "DESC"
    values.append(min(max(limit, 0), Self.limitMaximum))
    let text =
      "SELECT position, (SELECT text FROM names WHERE id = type), json FROM events\(filter) ORDER BY position \(direction) LIMIT ?"
    return (text, StatementArguments(values))
  }

  /// The indexes of decisions are without `allow`, and are used where the statement says that it is not asked for. A
  /// session's events are few beside those that were ever denied.
  private static func decided(_ decision: String, inSession: Bool) -> String {
    if inSession || decision == "allow" { return "(decision = ? OR effective = ?)" }
    let either = ["decision", "effective"].map {
      "SELECT position FROM events WHERE \($0) = ? AND \($0) <> 'allow'"
    }
    return "position IN (\(either.joined(separator: " UNION ")))"
  }

  private static let name = "(SELECT id FROM names WHERE text = ?)"

  private func addPath(_ path: String, _ add: (String, any DatabaseValueConvertible...) -> Void) {
    if path.utf8.contains(where: { [UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "[")].contains($0) }) {
      add("path IN (SELECT id FROM names WHERE text GLOB ?)", path)
      return
    }
    let name = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    // "0" is the byte after "/": the range is everything that begins with "name/".
    let base = name == "/" ? "" : name
    add(
      "path IN (SELECT id FROM names WHERE text = ? OR (text >= ? AND text < ?))", name, base + "/",
      base + "0")
  }
}
