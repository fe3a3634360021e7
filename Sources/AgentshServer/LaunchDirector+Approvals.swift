import AgentshAPI
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging

// What supervisors ask to have approved, and what becomes of it.
extension LaunchDirector {
  /// Takes in a question. Over its owner's limit it is answered at once, with a deny. False where it is none that a
  /// supervisor of ours asks.
  func ask(_ request: ApprovalRequest, _ launch: Launch, _ connection: Int) -> Bool {
    let details = launch.session.details
    // The event that it is asked, and the one that it is answered.
    throttle(2, launch)
    do throws(ApprovalStore.Refusal) {
      let call = try services.approvals.add(request, of: details, launch: launch.id, connection: connection)
      services.record(services.lifecycle.approvalRequested(call), owner: call.owner)
    } catch {
      guard error == .limit else { return false }
      if approvalNews.isNews(launch.id, now: monotonicClock()) {
        services.logger.warning(
          "uid \(details.ownerUID) is over limits.approvals: more of its calls are denied")
        services.record(
          services.lifecycle.limitReached(details.id, limit: "approvals"), owner: details.ownerUID)
      }
      // A supervisor that does not read loses its connection, and asks again.
      try? launch.send(frame(.approvalAnswer, ApprovalAnswer(number: request.number, word: .limit)))
    }
    return true
  }

  func withdraw(_ withdrawal: ApprovalWithdrawal, _ launch: Launch, _ connection: Int) {
    // Answered meanwhile: then that is recorded.
    guard
      let call = services.approvals.withdraw(withdrawal.number, launch: launch.id, connection: connection)
    else { return }
    let reason =
      switch withdrawal.cause {
      case .timedOut: "approval timeout"
      case .cancelled: "the call was interrupted, or its process ended"
      }
    resolved(call, approved: false, reason, by: nil)
  }

  /// The connection is gone, and with it what waited. A supervisor that goes on asks again when it is back.
  func dropApprovals(_ launch: Launch, upTo connection: Int) {
    for call in services.approvals.drop(launch.id, upTo: connection) {
      resolved(call, approved: false, "the supervisor is gone", by: nil)
    }
  }

  /// Answers a call that is still held. Throws 404 for one that is not; blocks while the supervisor does not read.
  func resolve(
    _ id: String, _ wanted: ResolveApprovalRequest, by caller: Caller
  ) throws(SessionError) {
    guard let call = services.approvals.take(id), let launch = launch(call.launch) else {
      throw .approvalNotFound
    }
    let approved = wanted.decision == .approve
    let answer = ApprovalAnswer(number: call.number, word: approved ? .approved : .denied)
    do throws(SystemCallError) {
      guard launch.generation == call.connection else { throw SystemCallError("send", EPIPE) }
      try launch.send(frame(.approvalAnswer, answer))
    } catch {
      resolved(call, approved: false, "the supervisor cannot be reached", by: caller.uid)
      throw SessionError(
        .unavailable, .failed, "the supervisor cannot be reached: \(error)",
        hint: "it asks again when it is back")
    }
    resolved(call, approved: approved, wanted.reason ?? "", by: caller.uid)
  }

  private func resolved(_ call: HeldCall, approved: Bool, _ reason: String, by uid: UInt32?) {
    services.record(
      services.lifecycle.approvalResolved(call, approved: approved, reason: reason, by: uid),
      owner: call.owner)
  }
}

extension SessionError {
  /// Also for what the caller may not see.
  static let approvalNotFound = SessionError(.notFound, .notFound, "approval not found")
}
