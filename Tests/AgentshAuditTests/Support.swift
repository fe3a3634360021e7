import AgentshAudit
import AgentshEvent
import Foundation
import GRDB

/// A directory that goes with the test.
final class Scratch {
  let path: String
  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "agentsh-audit-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  var settings: EventStore.Settings {
    EventStore.Settings(databasePath: path + "/events.db", journalPath: path + "/events.jsonl")
  }

  var lines: [String] {
    get throws {
      let text = try String(contentsOfFile: path + "/events.jsonl", encoding: .utf8)
      return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
  }
}

func record(
  _ number: UInt64, stream: UInt64 = 7, session: String = "s1", owner: UInt32 = 1000,
  type: String = "file_open",
  decision: String = "allow", path: String? = nil, time: UInt64? = nil
) -> AuditRecord {
  var event = Event(
    id: "file-\(stream)-\(number)", timestamp: time ?? (1_700_000_000_000_000_000 + number), type: type,
    sessionID: session)
  event.path = path ?? "/srv/ws/file\(number)"
  event.policy = PolicyOutcome(decision: decision, effectiveDecision: decision, rule: "r")
  event.fields = [("syscall", .text("openat"))]
  return AuditRecord(stream: stream, number: number, owner: owner, event: event)
}

func records(_ numbers: ClosedRange<UInt64>) -> [AuditRecord] { numbers.map { record($0) } }
func json(_ record: AuditRecord) -> String { String(decoding: record.event.json, as: UTF8.self) }

/// An event and what makes it one of a kind.
struct AuditRecord {
  let stream: UInt64
  let number: UInt64
  let owner: UInt32
  let event: Event
}

extension AuditRows {
  init(_ records: [AuditRecord]) {
    self.init()
    for record in records {
      let event = record.event
      add(
        Row(
          stream: record.stream, number: record.number, owner: record.owner, session: event.sessionID,
          time: event.timestamp, type: event.type, decision: event.policy?.decision,
          effective: event.policy?.effectiveDecision, path: event.path)
      ) { event.write(to: &$0) }
    }
  }
}

extension EventStore {
  @discardableResult
  func append(_ records: [AuditRecord]) throws(AuditError) -> Int { try append(AuditRows(records)) }
}
