package import AgentshEvent

/// An event and what makes it one of a kind: the same (stream, number) is stored once, however often it is sent.
package struct AuditRecord: Sendable {
  /// Who numbers: one supervisor, or one life of the daemon. A random number, so that no two are the same.
  package let stream: UInt64
  /// Counts from 1 within the stream.
  package let number: UInt64
  /// uid of the session's owner: nobody else reads it.
  package let owner: UInt32
  package let event: Event

  package init(stream: UInt64, number: UInt64, owner: UInt32, event: Event) {
    self.stream = stream
    self.number = number
    self.owner = owner
    self.event = event
  }
}

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
