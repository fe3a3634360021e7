/// What the supervisor says of one mediated call: numbers and bytes; the daemon makes an `Event` of it.
package struct EventRecord: Sendable, Equatable {
  package enum Kind: UInt8, Sendable {
    case file = 1, exec, connect, bind, send, unixSocket, process, lifecycle, signal
  }
  package enum Effect: UInt8, Sendable { case allowed, blocked, failed }

  package var kind: Kind
  /// Nanoseconds since 1970, at the notification.
  package var timestamp: UInt64
  /// From notification to answer.
  package var latencyNanoseconds: UInt32
  package var pid: Int32
  package var parentPid: Int32
  package var depth: UInt32
  /// System call number; 0 for lifecycle records.
  package var call: UInt16
  /// A `FileOperation`, `SocketOperation` … by kind.
  package var operation: UInt8
  package var effect: Effect
  /// What the caller got: 0, or an errno.
  package var errno: UInt16
  /// `verdictCode`, `listCode` and rule index of the `Decision`.
  package var verdict: UInt8
  package var list: UInt8
  package var rule: Int32
  /// Name in /proc/PID/comm, or argv[0] for exec.
  package var command: String
  /// As the caller wrote it; empty when equal to `path`.
  package var rawPath: String
  /// Canonical path; signal, pid and name of the receiver; `address:port` for connect, bind and send; the sentence for lifecycle.
  package var path: String
  /// rename and link: the other name. delete: where it lies now that it was deleted softly. exec: why it was refused without asking a rule; mostly empty.
  package var path2: String
  package var argv: [String]

  package init(kind: Kind, timestamp: UInt64, pid: Int32) {
    self.kind = kind
    self.timestamp = timestamp
    self.pid = pid
    latencyNanoseconds = 0
    parentPid = 0
    depth = 0
    call = 0
    operation = 0
    effect = .allowed
    errno = 0
    verdict = 0
    list = 0
    rule = 0
    command = ""
    rawPath = ""
    path = ""
    path2 = ""
    argv = []
  }
}

extension EventRecord {
  /// Goes over a record. Throws where decoding it would.
  static func skip(_ reader: inout WireReader) throws(WireError) {
    let at = reader.offset
    guard Kind(rawValue: try reader.byte()) != nil else { throw .badValue(offset: at, what: "event kind") }
    // timestamp, latency, pid, parent, depth, call, operation
    try reader.skip(8 + 4 + 4 + 4 + 4 + 2 + 1)
    let effectAt = reader.offset
    guard Effect(rawValue: try reader.byte()) != nil else {
      throw .badValue(offset: effectAt, what: "effect")
    }
    // errno, verdict, list, rule
    try reader.skip(2 + 1 + 1 + 4)
    // command, raw path, path, second path
    for _ in 0..<4 { try reader.skipText() }
    for _ in 0..<(try reader.count(each: 1)) { try reader.skipText() }
  }
}

extension EventRecord: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.byte(kind.rawValue)
    writer.integer(timestamp)
    writer.integer(latencyNanoseconds)
    writer.integer(pid)
    writer.integer(parentPid)
    writer.integer(depth)
    writer.integer(call)
    writer.byte(operation)
    writer.byte(effect.rawValue)
    writer.integer(errno)
    writer.byte(verdict)
    writer.byte(list)
    writer.integer(rule)
    writer.value(command)
    writer.value(rawPath)
    writer.value(path)
    writer.value(path2)
    writer.value(argv)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let kind: Kind = try reader.choice("event kind")
    self.init(kind: kind, timestamp: try reader.integer(UInt64.self), pid: 0)
    latencyNanoseconds = try reader.value()
    pid = try reader.value()
    parentPid = try reader.value()
    depth = try reader.value()
    call = try reader.value()
    operation = try reader.value()
    effect = try reader.choice("effect")
    errno = try reader.value()
    verdict = try reader.value()
    list = try reader.value()
    rule = try reader.value()
    command = try reader.value()
    rawPath = try reader.value()
    path = try reader.value()
    path2 = try reader.value()
    argv = try reader.value()
  }
}
