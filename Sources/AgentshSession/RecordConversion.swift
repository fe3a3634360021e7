package import AgentshAudit
import AgentshEvent
package import AgentshPolicy
package import AgentshWire

/// Makes events of what a supervisor says: names for numbers, upstream's field names, straight into the line that is
/// stored.
///
/// The supervisor's numbers are not trusted: one that names nothing becomes `unknown`.
package struct RecordConversion: Sendable {
  private let stream: UInt64
  private let owner: UInt32
  private let sessionID: String
  private let rules: SessionRules

  /// `owner`: uid of the session's owner.
  package init(stream: UInt64, owner: UInt32, sessionID: String, rules: SessionRules) {
    self.stream = stream
    self.owner = owner
    self.sessionID = sessionID
    self.rules = rules
  }

  package func add(_ record: EventRecord, number: UInt64, to rows: inout AuditRows) {
    let type = Self.type(record)
    var row = AuditRows.Row(
      stream: stream, number: number, owner: owner, session: sessionID, time: record.timestamp, type: type)
    let outcome = record.kind == .lifecycle ? nil : outcome(record)
    row.decision = outcome?.decision
    row.effective = outcome?.effectiveDecision
    row.path = Self.path(record)
    rows.add(row) { write(record, type, outcome, to: &$0) }
  }

  private func write(
    _ record: EventRecord, _ type: String, _ outcome: PolicyOutcome?, to out: inout JSONText
  ) {
    out.begin()
    out.field("id", id: Self.prefix(record.kind), Int64(record.pid), record.timestamp)
    out.field("timestamp", time: record.timestamp)
    out.field("type", type)
    out.field("session_id", sessionID)
    if record.kind != .exec, outcome != nil { out.field("source", "seccomp") }
    out.field("pid", Int64(record.pid))
    if let outcome { outcome.write(to: &out) }
    if record.parentPid > 0 { out.field("parent_pid", Int64(record.parentPid)) }
    if record.depth > 0 { out.field("depth", Int64(record.depth)) }
    if outcome != nil {
      writeObject(record, to: &out)
      out.field("effective_action", record.effect == .blocked ? "blocked" : "allowed")
      Self.writeFields(record, to: &out)
    } else {
      out.key("fields")
      out.begin()
      out.field("message", record.path)
      out.end()
    }
    out.end()
  }

  private func writeObject(_ record: EventRecord, to out: inout JSONText) {
    if let path = Self.path(record) { out.field("path", path) }
    if let operation = Self.operation(record) { out.field("operation", operation) }
    switch record.kind {
    case .exec:
      out.field("filename", record.path)
      out.field("raw_filename", record.rawPath.isEmpty ? record.path : record.rawPath)
      out.field("argv", record.argv)
    case .connect, .bind, .send:
      out.field("domain", Self.host(record.path))
      out.field("remote", record.path)
    case .file, .unixSocket, .process, .lifecycle, .signal: return
    }
  }

  /// In alphabetical order, as upstream's maps come out.
  private static func writeFields(_ record: EventRecord, to out: inout JSONText) {
    out.key("fields")
    out.begin()
    if !record.command.isEmpty { out.field("command", record.command) }
    if record.errno != 0 { out.field("errno", Int64(record.errno)) }
    out.field("latency_us", Int64(record.latencyNanoseconds / 1000))
    if !record.path2.isEmpty, record.kind != .exec { out.field("path2", record.path2) }
    if !record.rawPath.isEmpty, record.kind != .exec { out.field("raw_path", record.rawPath) }
    if let reason = reason(record) { out.field("reason", reason) }
    out.field("syscall", systemCallName(record.call))
    out.end()
  }

  /// Why it was refused, beside the rule: what no rule was asked about, and what became of asking somebody.
  private static func reason(_ record: EventRecord) -> String? {
    if record.kind == .exec, !record.path2.isEmpty { return record.path2 }
    let halves = Decision.halves(ofCode: record.verdict)
    if halves?.verdict == .softDelete, record.kind == .file, record.effect == .blocked {
      return "no trash on its file system that is the owner's alone"
    }
    return halves?.approval.reason?.description
  }

  private static func path(_ record: EventRecord) -> String? {
    switch record.kind {
    case .exec: record.path
    case .file, .unixSocket, .process, .signal: record.path.isEmpty ? nil : record.path
    case .connect, .bind, .send, .lifecycle: nil
    }
  }

  private func outcome(_ record: EventRecord) -> PolicyOutcome {
    let verdict = Decision.halves(ofCode: record.verdict)?.verdict
    let effective = record.effect == .blocked ? "deny" : "allow"
    let (name, message) = rule(record)
    return PolicyOutcome(
      decision: verdict.map { $0.word.description } ?? "unknown", effectiveDecision: effective, rule: name,
      message: message, needsApproval: verdict == .approve)
  }

  private func rule(_ record: EventRecord) -> (name: String, message: String?) {
    let message = rules.message(list: record.list, rule: record.rule)
    return (rules.ruleName(list: record.list, rule: record.rule), message.isEmpty ? nil : message)
  }

  private static func prefix(_ kind: EventRecord.Kind) -> String {
    switch kind {
    case .file: "file"
    case .exec: "execve"
    case .connect, .bind, .send: "net"
    case .unixSocket: "unix"
    case .process: "process"
    case .signal: "signal"
    case .lifecycle: "evt"
    }
  }

  private static func type(_ record: EventRecord) -> String {
    switch record.kind {
    case .file: fileTypes[Int(record.operation)] ?? "file_op"
    case .exec: "execve"
    case .connect: "net_connect"
    case .bind: "net_bind"
    case .send: "net_send"
    case .unixSocket: "unix_socket_op"
    case .process: "process_op"
    case .signal: signalType(record)
    case .lifecycle: "supervisor_note"
    }
  }

  private static func signalType(_ record: EventRecord) -> String {
    switch Decision.halves(ofCode: record.verdict)?.verdict {
    case .absorb: "signal_absorbed"
    case .redirect: "signal_redirected"
    default: record.effect == .blocked ? "signal_blocked" : "signal_sent"
    }
  }

  private static let fileTypes: [Int: String] = {
    var types: [Int: String] = [:]
    for number in UInt8.min...UInt8.max {
      guard let operation = FileOperation(rawValue: number) else { continue }
      types[Int(number)] = operation == .read ? "file_open" : "file_\(operation.word)"
    }
    return types
  }()

  private static func operation(_ record: EventRecord) -> String? {
    switch record.kind {
    case .file: FileOperation(rawValue: record.operation).map { $0.word.description }
    case .unixSocket: SocketOperation(rawValue: record.operation).map { "\($0)" }
    case .connect: "connect"
    case .bind: "bind"
    case .send: "send"
    case .exec, .process, .lifecycle, .signal: nil
    }
  }

  /// `127.0.0.1` of `127.0.0.1:80`, `::1` of `[::1]:80`.
  private static func host(_ remote: String) -> String {
    guard let colon = remote.lastIndex(of: ":") else { return remote }
    let host = remote[..<colon]
    return host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : String(host)
  }
}
