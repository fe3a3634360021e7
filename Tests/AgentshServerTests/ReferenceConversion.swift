import AgentshEvent
import AgentshPolicy
import AgentshWire

/// What `RecordConversion` must come to, made the long way: an `Event` field by field.
struct ReferenceConversion {
  let sessionID: String
  let rules: PolicyRules
  /// Some.
  static let calls: [UInt16: String] = [42: "connect", 59: "execve", 257: "openat", 316: "renameat2"]

  func event(_ record: EventRecord) -> Event {
    var event = Event(
      id: "\(Self.prefix(record.kind))-\(record.pid)-\(record.timestamp)", timestamp: record.timestamp,
      type: Self.type(record), sessionID: sessionID)
    event.pid = record.pid
    event.parentPid = record.parentPid > 0 ? record.parentPid : nil
    event.depth = record.depth > 0 ? record.depth : nil
    guard record.kind != .lifecycle else {
      event.fields = [("message", .text(record.path))]
      return event
    }
    event.policy = outcome(record)
    event.effectiveAction = record.effect == .blocked ? "blocked" : "allowed"
    event.operation = Self.operation(record)
    fillObject(record, &event)
    event.fields = Self.fields(record)
    return event
  }

  private func fillObject(_ record: EventRecord, _ event: inout Event) {
    switch record.kind {
    case .exec:
      event.filename = record.path
      event.rawFilename = record.rawPath.isEmpty ? record.path : record.rawPath
      event.argv = record.argv
      event.path = record.path
    case .connect, .bind, .send:
      event.remote = record.path
      event.domain = Self.host(record.path)
    case .file, .unixSocket, .process, .lifecycle, .signal:
      event.path = record.path.isEmpty ? nil : record.path
    }
    if record.kind != .exec { event.source = "seccomp" }
  }

  /// In alphabetical order, as upstream's maps come out.
  private static func fields(_ record: EventRecord) -> [(key: String, value: EventValue)] {
    var fields: [(key: String, value: EventValue)] = []
    if !record.command.isEmpty { fields.append(("command", .text(record.command))) }
    if record.errno != 0 { fields.append(("errno", .number(Int64(record.errno)))) }
    fields.append(("latency_us", .number(Int64(record.latencyNanoseconds / 1000))))
    if !record.path2.isEmpty, record.kind != .exec { fields.append(("path2", .text(record.path2))) }
    if !record.rawPath.isEmpty, record.kind != .exec { fields.append(("raw_path", .text(record.rawPath))) }
    if !record.path2.isEmpty, record.kind == .exec {
      fields.append(("reason", .text(record.path2)))
    } else if let reason = reason(record) {
      fields.append(("reason", .text(reason)))
    }
    fields.append(("syscall", .text(Self.calls[record.call] ?? "syscall_\(record.call)")))
    return fields
  }

  private func outcome(_ record: EventRecord) -> PolicyOutcome {
    let verdict = Self.verdict(record)
    let effective = record.effect == .blocked ? "deny" : "allow"
    let (name, message) = rule(record)
    return PolicyOutcome(
      decision: verdict.map { $0.word.description } ?? "unknown", effectiveDecision: effective, rule: name,
      message: message, needsApproval: verdict == .approve)
  }

  /// The lower half of the byte is the verdict, the upper one what became of asking; both must be known.
  private static func verdict(_ record: EventRecord) -> Verdict? {
    record.verdict / 16 < 6 ? Verdict(rawValue: record.verdict % 16) : nil
  }

  private static func reason(_ record: EventRecord) -> String? {
    guard let verdict = verdict(record) else { return nil }
    if record.kind == .file, record.effect == .blocked, verdict == .softDelete {
      return "no trash on its file system that is the owner's alone"
    }
    return [
      2: "approval denied", 3: "approval timeout", 4: "too many approvals wait (limits.approvals)",
      5: "the call meant something else than what was approved",
    ][record.verdict / 16]
  }

  private func rule(_ record: EventRecord) -> (name: String, message: String?) {
    let message = RuleList(rawValue: record.list).map { rules.message(list: $0, rule: record.rule) } ?? ""
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
    case .file: FileOperation(rawValue: record.operation).map { fileType($0) } ?? "file_op"
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
    switch verdict(record) {
    case .absorb: "signal_absorbed"
    case .redirect: "signal_redirected"
    default: record.effect == .blocked ? "signal_blocked" : "signal_sent"
    }
  }

  private static func fileType(_ operation: FileOperation) -> String {
    operation == .read ? "file_open" : "file_\(operation.word)"
  }

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
