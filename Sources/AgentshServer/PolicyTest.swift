import AgentshAPI
import AgentshConfig
import AgentshPolicy
import AgentshSession
import LinuxSystem

/// `POST /policy/test`: what would be decided.
struct PolicyTest: Sendable {
  let services: Services
  let policies: PolicyChoice

  func answer(_ wanted: PolicyTestRequest, _ caller: Caller) async throws(SessionError) -> PolicyTestResponse
  {
    let session: LiveSession? =
      if let id = wanted.sessionID { try ownSession(id, caller) } else { nil }
    if session != nil, wanted.policy != nil { throw .badRequest("session_id and policy exclude each other") }
    let policies = policies
    return try await onThread("policy-test") { () -> Result<PolicyTestResponse, SessionError> in
      Result { () throws(SessionError) in
        let context = session.map { policyContext($0.details, policies.config) } ?? sampleContext(caller)
        let rules =
          if let session { session.details.rules } else {
            try policies.named(wanted.policy, caller, context, true).rules
          }
        return try Self.answer(wanted, rules, context, mounts: MountTable(of: caller.pid))
      }
    }
  }

  private func ownSession(_ id: String, _ caller: Caller) throws(SessionError) -> LiveSession {
    guard let session = services.registry.session(id, owner: caller.uid) else { throw .notFound }
    return session
  }

  private static func answer(
    _ wanted: PolicyTestRequest, _ rules: SessionRules, _ context: PolicyContext, mounts: MountTable?
  ) throws(SessionError) -> PolicyTestResponse {
    do throws(PolicyQuestionError) {
      let question = try PolicyQuestion(
        op: wanted.operation, path: wanted.path, arguments: wanted.args ?? [], context: context)
      let answer = try PolicyAnswer(rules, question, mounts: mounts)
      return PolicyTestResponse(
        decision: answer.decision, policyDecision: answer.policyDecision, reason: answer.reason,
        rule: answer.rule)
    } catch { throw .badRequest("\(error)") }
  }
}

/// What a session's policy was loaded with.
func policyContext(_ details: SessionDetails, _ config: ServerConfig) -> PolicyContext {
  PolicyContext(
    workspace: details.workspace.path, home: details.workspace.home,
    projectRoot: details.workspace.projectRoot,
    gitRoot: details.workspace.gitRoot, variables: config.variables, realPaths: details.realPaths)
}

/// Variables for a policy that no session has: paths in the workspace are written as `/workspace/…`.
func sampleContext(_ caller: Caller) -> PolicyContext {
  let home = (try? userEntry(uid: caller.uid))?.home ?? "/nonexistent"
  return PolicyContext(workspace: "/workspace", home: home)
}
