import AgentshAPI
import AgentshConfig
import AgentshSession
import Hummingbird

// Approvals. Who sees and answers what: `ApprovalRights`.
extension Routes {
  func listApprovals(_ context: PeerContext) async throws -> Response {
    let rights = try await approvalRights(try context.sender)
    return response(200, services.approvals.all.filter(rights.sees).map(\.view))
  }

  func resolveApproval(_ request: Request, _ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    guard let id = context.parameters.get("id") else { throw SessionError.approvalNotFound }
    let wanted = try await decode(ResolveApprovalRequest.self, request)
    guard wanted.reason?.utf8.count ?? 0 <= ResolveApprovalRequest.reasonLimit else {
      throw SessionError.badRequest("the reason is over \(ResolveApprovalRequest.reasonLimit) bytes")
    }
    let rights = try await approvalRights(caller)
    guard let call = services.approvals.call(id), rights.sees(call) else {
      throw SessionError.approvalNotFound
    }
    guard rights.may(wanted.decision, call) else {
      throw SessionError(
        .forbidden, .forbidden, "what your own session asks is for somebody else to approve",
        hint: "a member of roles.approver_groups, unless the operator sets approvals.self_approve")
    }
    let director = director
    try await onThread("approval") { () -> Result<Void, SessionError> in
      Result { () throws(SessionError) in try director.resolve(id, wanted, by: caller) }
    }
    return response(200, Done())
  }

  /// Asked at each call, as the user database is now.
  private func approvalRights(_ caller: Caller) async throws(SessionError) -> ApprovalRights {
    let config = services.config
    let isSystem = services.locations.isSystem
    var isApprover = try await administers(caller)
    if !isApprover, isSystem, !config.approverGroups.isEmpty {
      isApprover = try await onThread("roles") {
        .success(isMember(caller.uid, ofAny: config.approverGroups))
      }
    }
    return ApprovalRights(
      uid: caller.uid, isApprover: isApprover, selfApprove: config.selfApprove ?? !isSystem)
  }
}
