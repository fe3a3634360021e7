package import AgentshAudit
package import AgentshEvent
package import AgentshPolicy
package import AgentshWire
import Synchronization

/// What an intake file says of its frames in its head.
package enum IntakeHead: Sendable, Equatable {
  /// Frames are the payloads of a supervisor's `events`.
  case supervisor(stream: UInt64, owner: UInt32, sessionID: String, rules: SessionRules)
  /// Frames are `OwnEvent`s.
  case daemon(stream: UInt64)

  package var bytes: [UInt8] {
    var writer = WireWriter()
    writer.value(self)
    return writer.bytes
  }

  /// What makes rows of the frames.
  package var source: any IntakeSource {
    switch self {
    case .supervisor(let stream, let owner, let sessionID, let rules):
      RecordConversion(stream: stream, owner: owner, sessionID: sessionID, rules: rules)
    case .daemon(let stream): OwnEventConversion(stream: stream)
    }
  }

  /// Of a whole head. Throws for bytes that are none.
  package init(_ bytes: [UInt8]) throws(WireError) {
    var reader = WireReader(bytes)
    self = try reader.value()
    try reader.finish()
  }
}

extension IntakeHead: WireCodable {
  package func encode(to writer: inout WireWriter) {
    switch self {
    case .supervisor(let stream, let owner, let sessionID, let rules):
      // One policy alone has the form that it had before there could be two.
      writer.byte(rules.narrowing == nil ? 1 : 3)
      writer.integer(stream)
      writer.integer(owner)
      writer.value(sessionID)
      if rules.narrowing == nil { writer.value(rules.main) } else { writer.value(rules) }
    case .daemon(let stream):
      writer.byte(2)
      writer.integer(stream)
    }
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    let kind = try reader.byte()
    switch kind {
    case 1, 3:
      let stream = try reader.value(UInt64.self)
      let owner = try reader.value(UInt32.self)
      let sessionID = try reader.value(String.self)
      let rules = kind == 1 ? SessionRules(try reader.value()) : try reader.value()
      // Two forms of one head there are not.
      guard kind == 1 || rules.narrowing != nil else { throw .badValue(offset: at, what: "kind of intake") }
      self = .supervisor(stream: stream, owner: owner, sessionID: sessionID, rules: rules)
    case 2: self = .daemon(stream: try reader.value())
    default: throw .badValue(offset: at, what: "kind of intake")
    }
  }
}

extension RecordConversion: IntakeSource {
  package func add(_ frame: ArraySlice<UInt8>, to rows: inout AuditRows) throws {
    var reader = WireReader(frame)
    var number = try reader.value(UInt64.self)
    for _ in 0..<(try reader.count(each: 1)) {
      add(try reader.value(EventRecord.self), number: number, to: &rows)
      number &+= 1
    }
    try reader.finish()
  }
}

/// An event of the daemon's own as it lies in an intake file.
private struct OwnEvent: WireCodable {
  var number: UInt64
  var owner: UInt32
  var session: String
  var time: UInt64
  var type: String
  // What is asked for, beside the type.
  var decision: String?
  var effective: String?
  var path: String?
  var json: String

  init(_ event: Event, number: UInt64, owner: UInt32) {
    self.number = number
    self.owner = owner
    session = event.sessionID
    time = event.timestamp
    type = event.type
    decision = event.policy?.decision
    effective = event.policy?.effectiveDecision
    path = event.path
    json = String(decoding: event.json, as: UTF8.self)
  }

  func encode(to writer: inout WireWriter) {
    writer.integer(number)
    writer.integer(owner)
    writer.value(session)
    writer.integer(time)
    writer.value(type)
    writer.value(decision)
    writer.value(effective)
    writer.value(path)
    writer.value(json)
  }

  init(from reader: inout WireReader) throws(WireError) {
    number = try reader.value()
    owner = try reader.value()
    session = try reader.value()
    time = try reader.value()
    type = try reader.value()
    decision = try reader.value()
    effective = try reader.value()
    path = try reader.value()
    json = try reader.value()
  }
}

private struct OwnEventConversion: IntakeSource {
  let stream: UInt64

  func add(_ frame: ArraySlice<UInt8>, to rows: inout AuditRows) throws {
    var reader = WireReader(frame)
    let event = try reader.value(OwnEvent.self)
    try reader.finish()
    let row = AuditRows.Row(
      stream: stream, number: event.number, owner: event.owner, session: event.session, time: event.time,
      type: event.type, decision: event.decision, effective: event.effective, path: event.path)
    rows.add(row) { $0.object(event.json) }
  }
}

/// Where the daemon's own events go: numbered, and taken as a supervisor's are.
///
/// Taking one is a small write into the page cache, as a line of the log is: it is done where the event happens.
package final class OwnEvents: Sendable {
  private let next = Mutex<UInt64>(1)
  private let intake: StreamIntake

  /// `stream`: a random number of this life of the daemon.
  package init(_ intake: EventIntake, stream: UInt64) {
    let head = IntakeHead.daemon(stream: stream)
    self.intake = StreamIntake(intake, stream: stream, source: head.source) { head.bytes }
  }

  /// Throws when too many wait because they cannot be stored, or the daemon is ending.
  package func record(_ event: Event, owner: UInt32) throws(AuditError) {
    // Held until it is taken: they lie in the order of their numbers.
    try next.withLock { next throws(AuditError) in
      var writer = WireWriter()
      writer.value(OwnEvent(event, number: next, owner: owner))
      try intake.appendOwn(writer.bytes)
      next += 1
    }
  }

  /// The last one was recorded.
  package func finish() { intake.finish() }
}
