import AgentshPolicy

/// Length of the key that a supervisor proves itself with after the daemon came back.
package let reattachKeySize = 32

extension WireReader {
  /// The 32 bytes of a reattach key; another length is refused.
  fileprivate mutating func reattachKey() throws(WireError) -> [UInt8] {
    let at = offset
    let key = Array(try raw())
    guard key.count == reattachKeySize else { throw .badValue(offset: at, what: "reattach key") }
    return key
  }
}

extension Welcome: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(sessionID)
    writer.value(workspace)
    writer.value(ownerUID)
    writer.value(policy)
    writer.value(reattachKey)
    writer.value(supervisorSocket)
    writer.value(spoolPath)
    writer.value(spoolLimit)
    writer.byte(overflow.rawValue)
    writer.value(approvalLimit)
    writer.value(approvalTimeout)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let sessionID = try reader.value(String.self)
    let workspace = try reader.value(String.self)
    let ownerUID = try reader.value(UInt32.self)
    let policy = try reader.value(SessionRules.self)
    let key = try reader.reattachKey()
    let supervisorSocket = try reader.value(String.self)
    let spoolPath = try reader.value(String.self)
    let spoolLimit = try reader.value(UInt64.self)
    let overflow: Overflow = try reader.choice("overflow")
    let approvalLimit = try reader.value(UInt32.self)
    self.init(
      sessionID: sessionID, workspace: workspace, ownerUID: ownerUID, policy: policy, reattachKey: key,
      supervisorSocket: supervisorSocket, spoolPath: spoolPath, spoolLimit: spoolLimit, overflow: overflow,
      approvalLimit: approvalLimit, approvalTimeout: try reader.value())
  }
}

extension Ready: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(supervisorPid)
    writer.value(targetPid)
    writer.value(degraded)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let supervisor = try reader.value(Int32.self)
    let target = try reader.value(Int32.self)
    self.init(supervisorPid: supervisor, targetPid: target, degraded: try reader.value())
  }
}

extension Finished: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(exitCode ?? -1)
    writer.value(denied)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    let exitCode = try reader.value(Int32.self)
    guard exitCode >= -1 else { throw .badValue(offset: at, what: "exit code") }
    self.init(exitCode: exitCode < 0 ? nil : exitCode, denied: try reader.value())
  }
}

extension EventBatch {
  /// Whether a payload is a batch, without making one: the number of its first record, and how many there are. Throws
  /// where decoding it would.
  package static func check(_ payload: [UInt8]) throws(WireError) -> (first: UInt64, count: Int) {
    var reader = WireReader(payload)
    let first = try reader.value(UInt64.self)
    let count = try reader.count(each: 1)
    for _ in 0..<count { try EventRecord.skip(&reader) }
    try reader.finish()
    return (first, count)
  }
}

extension EventBatch: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(first)
    writer.value(records)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let first = try reader.value(UInt64.self)
    self.init(first: first, records: try reader.value())
  }
}

extension Hello: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(sessionID)
    writer.value(supervisorPid)
    writer.value(reattachKey)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let sessionID = try reader.value(String.self)
    let pid = try reader.value(Int32.self)
    self.init(sessionID: sessionID, supervisorPid: pid, reattachKey: try reader.reattachKey())
  }
}
