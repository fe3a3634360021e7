package import AgentshPolicy

/// What daemon and supervisor say to one another over their stream socket.
///
/// On the wire: payload length (32 bits, little-endian, at most `payloadLimit`), kind (one byte), payload.
package enum FrameKind: UInt8, Sendable {
  /// Daemon: the session, its policy, its limits. First frame, once.
  case welcome = 1
  /// Daemon: every event up to this sequence number is stored; the supervisor may forget them.
  case stored = 2
  /// Daemon: end the session (kill the tree), with a reason.
  case end = 3
  /// Daemon: what somebody said to an `approvalRequest`.
  case approvalAnswer = 4
  /// Supervisor: policy compiled, listener proved; the launcher may go on.
  case ready = 16
  /// Supervisor: a batch of event records.
  case events = 17
  /// Supervisor: the main program ended and nobody of the tree is left. Last frame.
  case finished = 18
  /// Supervisor: it cannot do its work; the launcher is told to give up.
  case failed = 19
  /// Supervisor, on `supervisor.sock` after the daemon came back: who it is and the key it was given.
  case hello = 20
  /// Supervisor: a call is held until somebody approves it.
  case approvalRequest = 21
  /// Supervisor: the call is held no more, whatever is said now.
  case approvalWithdrawn = 22
}

package struct FrameHeader: Sendable, Equatable {
  package static let size = 5
  package static let payloadLimit = 1 << 24
  /// A spool may exceed its limit by what a supervisor's buffers hold when no call is made any more: what was sent and not
  /// confirmed, one batch on its way, the recorder's buffer. Each is less than a frame.
  package static let spoolExcess = 4 * payloadLimit
  package let length: Int
  package let kind: FrameKind

  package init(length: Int, kind: FrameKind) {
    self.length = length
    self.kind = kind
  }

  /// Reads five bytes. An unknown kind or a length over the limit ends the connection.
  package init(_ bytes: [UInt8]) throws(WireError) {
    var reader = WireReader(bytes)
    let length = Int(try reader.integer(UInt32.self))
    guard length <= Self.payloadLimit else {
      throw .tooLong(offset: 0, length: length, limit: Self.payloadLimit)
    }
    guard let kind = FrameKind(rawValue: try reader.byte()) else {
      throw .badValue(offset: 4, what: "frame kind")
    }
    try reader.finish()
    self.init(length: length, kind: kind)
  }
}

/// A whole frame, ready to be written.
package func frame(_ kind: FrameKind, _ payload: some WireCodable) -> [UInt8] {
  var writer = WireWriter()
  writer.integer(UInt32(0))
  writer.byte(kind.rawValue)
  writer.value(payload)
  writer.patch(UInt32(writer.bytes.count - FrameHeader.size), at: 0)
  return writer.bytes
}

/// `.welcome`
package struct Welcome: Sendable, Equatable {
  package var sessionID: String
  /// The session's workspace, canonical.
  package var workspace: String
  package var ownerUID: UInt32
  package var policy: SessionRules
  /// 32 bytes that prove this supervisor to a daemon that came back.
  package var reattachKey: [UInt8]
  /// Where a daemon that came back listens for its supervisors.
  package var supervisorSocket: String
  /// File for events while there is no daemon; created 0600 by the supervisor, or by a root daemon for it.
  package var spoolPath: String
  package var spoolLimit: UInt64
  package var overflow: Overflow
  /// So many calls may wait for approval; over it they are denied.
  package var approvalLimit: UInt32
  /// How long a call waits where its rule does not say, in seconds.
  package var approvalTimeout: UInt32

  package enum Overflow: UInt8, Sendable { case block, kill }

  package init(
    sessionID: String, workspace: String, ownerUID: UInt32, policy: SessionRules, reattachKey: [UInt8],
    supervisorSocket: String, spoolPath: String, spoolLimit: UInt64, overflow: Overflow,
    approvalLimit: UInt32, approvalTimeout: UInt32
  ) {
    self.sessionID = sessionID
    self.workspace = workspace
    self.ownerUID = ownerUID
    self.policy = policy
    self.reattachKey = reattachKey
    self.supervisorSocket = supervisorSocket
    self.spoolPath = spoolPath
    self.spoolLimit = spoolLimit
    self.overflow = overflow
    self.approvalLimit = approvalLimit
    self.approvalTimeout = approvalTimeout
  }
}

/// `.ready`
package struct Ready: Sendable, Equatable {
  package var supervisorPid: Int32
  /// The launcher's, later the agent's.
  package var targetPid: Int32
  /// What is not enforced although the policy would want it (`--allow-degraded`); one sentence each.
  package var degraded: [String]
  package init(supervisorPid: Int32, targetPid: Int32, degraded: [String]) {
    self.supervisorPid = supervisorPid
    self.targetPid = targetPid
    self.degraded = degraded
  }
}

/// `.finished`
package struct Finished: Sendable, Equatable {
  /// As a shell says it: the code, or 128 + signal. nil where only its parent knows, which is not us. -1 on the wire.
  package var exitCode: Int32?
  package var denied: UInt64
  package init(exitCode: Int32?, denied: UInt64) {
    self.exitCode = exitCode
    self.denied = denied
  }
}

/// `.events`
package struct EventBatch: Sendable, Equatable {
  /// Number of the first record; counts from 1 over the session's life.
  package var first: UInt64
  package var records: [EventRecord]
  package init(first: UInt64, records: [EventRecord]) {
    self.first = first
    self.records = records
  }
}

/// `.hello`
package struct Hello: Sendable, Equatable {
  package var sessionID: String
  package var supervisorPid: Int32
  package var reattachKey: [UInt8]
  package init(sessionID: String, supervisorPid: Int32, reattachKey: [UInt8]) {
    self.sessionID = sessionID
    self.supervisorPid = supervisorPid
    self.reattachKey = reattachKey
  }
}
