/// An event as it comes back: its JSON text, byte for byte as it was made, and where it stands in the store.
package struct StoredEvent: Sendable, Equatable {
  /// Position in the store, rising in the order of arrival; never used twice.
  package let position: Int64
  package let type: String
  package let json: String

  /// The event's id, which its JSON begins with.
  package var id: String {
    let rest = json.utf8.dropFirst(#"{"id":""#.utf8.count)
    return String(decoding: rest.prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
  }

  package init(position: Int64, type: String, json: String) {
    self.position = position
    self.type = type
    self.json = json
  }
}

/// What can go wrong here, named after the step.
package enum AuditError: Error, CustomStringConvertible, Sendable {
  /// The database cannot be opened or is not one of ours.
  case open(path: String, cause: String)
  /// Nothing of the batch was stored; the caller keeps it.
  case append(cause: String)
  case query(cause: String)
  case prune(cause: String)

  package var description: String {
    switch self {
    case .open(let path, let cause): "cannot open the event store \(path): \(cause)"
    case .append(let cause): "cannot store events: \(cause)"
    case .query(let cause): "cannot read events: \(cause)"
    case .prune(let cause): "cannot remove old events: \(cause)"
    }
  }
}
