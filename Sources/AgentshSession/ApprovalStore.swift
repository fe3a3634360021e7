package import AgentshAPI
import AgentshEvent
import AgentshPolicy
package import AgentshWire
import Synchronization

/// A held call, as the daemon knows it.
package struct HeldCall: Sendable, Equatable {
  package let id: String
  package let owner: UInt32
  package let launch: LaunchID
  /// The supervisor's number of it, over the launch's connection of this count.
  package let number: UInt64
  package let connection: Int
  /// On the monotonic clock: from then on it can be approved no more.
  package let deadline: UInt64
  package let view: WaitingApproval
}

/// What waits for approval, in memory: a supervisor that loses its daemon asks the next one again.
///
/// Each owner has room for `perOwnerLimit`; what one of them fills takes nothing from another.
package final class ApprovalStore: Sendable {
  package let perOwnerLimit: Int
  private let held = Mutex<[String: HeldCall]>([:])
  private let monotonic: @Sendable () -> UInt64
  private let wall: @Sendable () -> UInt64

  package enum Refusal: Error, Equatable, Sendable {
    /// The owner's limit.
    case limit
    /// The supervisor has asked with this number already.
    case taken
  }

  /// Both clocks in nanoseconds.
  package init(
    perOwnerLimit: Int, monotonic: @escaping @Sendable () -> UInt64, wall: @escaping @Sendable () -> UInt64
  ) {
    self.perOwnerLimit = perOwnerLimit
    self.monotonic = monotonic
    self.wall = wall
  }

  /// Takes in what a supervisor asks.
  package func add(
    _ request: ApprovalRequest, of session: SessionDetails, launch: LaunchID, connection: Int
  ) throws(Refusal) -> HeldCall {
    let (now, time) = (monotonic(), wall())
    let wait = UInt64(request.milliseconds) * 1_000_000
    let id = "approval-" + randomUUID()
    let call = HeldCall(
      id: id, owner: session.ownerUID, launch: launch, number: request.number, connection: connection,
      deadline: now + wait,
      view: request.view(id, session, createdAt: time, expiresAt: time + wait))
    let refusal: Refusal? = held.withLock { held in
      let own = held.values.filter { $0.owner == call.owner }
      if own.contains(where: { $0.launch == launch && $0.number == request.number }) { return .taken }
      if own.count >= perOwnerLimit { return .limit }
      held[id] = call
      return nil
    }
    if let refusal { throw refusal }
    return call
  }

  /// What can still be approved, oldest first.
  package var all: [HeldCall] {
    let now = monotonic()
    return held.withLock { Array($0.values) }.filter { $0.deadline > now }
      .sorted { ($0.view.createdAt, $0.id) < ($1.view.createdAt, $1.id) }
  }

  package func call(_ id: String) -> HeldCall? {
    let now = monotonic()
    return held.withLock { $0[id] }.flatMap { $0.deadline > now ? $0 : nil }
  }

  /// Takes it out to be answered. nil when it is answered, withdrawn, or over: of two who answer one is heard.
  package func take(_ id: String) -> HeldCall? {
    let now = monotonic()
    return held.withLock { held in
      guard let call = held[id], call.deadline > now else { return nil }
      held[id] = nil
      return call
    }
  }

  /// The supervisor holds it no more.
  package func withdraw(_ number: UInt64, launch: LaunchID, connection: Int) -> HeldCall? {
    held.withLock { held in
      let call = held.values.first {
        $0.launch == launch && $0.number == number && $0.connection == connection
      }
      if let call { held[call.id] = nil }
      return call
    }
  }

  /// Everything that came over a connection that is gone, or over one before it.
  package func drop(_ launch: LaunchID, upTo connection: Int) -> [HeldCall] {
    held.withLock { held in
      let calls = held.values.filter { $0.launch == launch && $0.connection <= connection }
      for call in calls { held[call.id] = nil }
      return calls.sorted { $0.number < $1.number }
    }
  }
}

/// What one caller may do about what waits.
package struct ApprovalRights: Sendable, Equatable {
  package let uid: UInt32
  /// Sees and answers others' (uid 0, administrators, approvers).
  package let isApprover: Bool
  /// Whether users approve for themselves.
  package let selfApprove: Bool

  package init(uid: UInt32, isApprover: Bool, selfApprove: Bool) {
    self.uid = uid
    self.isApprover = isApprover
    self.selfApprove = selfApprove
  }

  /// What is somebody else's does not exist.
  package func sees(_ call: HeldCall) -> Bool { isApprover || call.owner == uid }

  /// Nobody approves what their own session asks, unless the operator says so; everybody may deny it.
  package func may(_ decision: ResolveApprovalRequest.Decision, _ call: HeldCall) -> Bool {
    guard sees(call) else { return false }
    return decision == .deny || call.owner != uid || selfApprove
  }
}

extension ApprovalRequest {
  fileprivate func view(
    _ id: String, _ session: SessionDetails, createdAt: UInt64, expiresAt: UInt64
  ) -> WaitingApproval {
    let isCommand = kind == .command
    return WaitingApproval(
      id: id, createdAt: rfc3339(createdAt), expiresAt: rfc3339(expiresAt), sessionID: session.id,
      ownerUID: session.ownerUID, kind: kind.word, target: target,
      rule: session.rules.ruleName(list: list, rule: rule),
      message: session.rules.message(list: list, rule: rule),
      fields: WaitingApproval.Fields(
        args: isCommand ? arguments : nil, command: isCommand && !other.isEmpty ? other : command,
        operation: operation.isEmpty ? nil : operation, path2: isCommand || other.isEmpty ? nil : other,
        pid: pid))
  }
}

extension ApprovalRequest.Kind {
  fileprivate var word: String {
    switch self {
    case .file: "file"
    case .command: "command"
    case .network: "network"
    case .unixSocket: "unix_socket"
    }
  }
}
