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
      if let id = wanted.sessionID { try services.registry.session(id, for: caller) } else { nil }
    if session != nil, wanted.policy != nil { throw .badRequest("session_id and policy exclude each other") }
    let policies = policies
    return try await onThread("policy-test") { () -> Result<PolicyTestResponse, SessionError> in
      Result { () throws(SessionError) in
        if let session { return try Self.decide(wanted, session.details.rules) }
        return try Self.decide(wanted, try policies.named(wanted.policy, sampleContext(caller), true).rules)
      }
    }
  }

  private static func decide(
    _ wanted: PolicyTestRequest, _ rules: PolicyRules
  ) throws(SessionError) -> PolicyTestResponse {
    let policy: CompiledPolicy
    do throws(PolicyError) { policy = try CompiledPolicy(rules) } catch {
      throw SessionError(.badRequest, .policyInvalid, "\(error)")
    }
    let decision = try decide(wanted, policy)
    return PolicyTestResponse(
      decision: decision.permits ? "allow" : "deny", policyDecision: "\(decision.verdict.word)",
      reason: policy.message(decision), rule: policy.ruleName(decision))
  }

  private static func decide(
    _ wanted: PolicyTestRequest, _ policy: CompiledPolicy
  ) throws(SessionError) -> Decision {
    let path = Array(wanted.path.utf8)
    if wanted.operation == "exec" {
      return decideCommand(policy, called: path, canonical: path, arguments: wanted.args ?? [])
    }
    if wanted.operation == "net_connect" { return try connect(wanted.path, policy) }
    var decider = FileDecider(policy)
    let word = wanted.operation.split(separator: "_", maxSplits: 1).last.map(String.init) ?? ""
    if wanted.operation.hasPrefix("file_"),
      let operation = FileOperation.allCases.first(where: { "\($0.word)" == word })
    {
      guard wanted.path.hasPrefix("/") else { throw .badRequest("path is not absolute: \"\(wanted.path)\"") }
      return decider.decide(operation, path: path.span)
    }
    if wanted.operation.hasPrefix("unix_"),
      let operation = SocketOperation.allCases.first(where: { "\($0)" == word })
    {
      return decider.decideSocket(operation, path: path.span)
    }
    throw .badRequest(
      "unknown operation \"\(wanted.operation)\"",
      hint:
        "exec, net_connect, file_ and one of \(FileOperation.allCases.map { "\($0.word)" }.joined(separator: " ")), "
        + "unix_ and one of \(SocketOperation.allCases.map { "\($0)" }.joined(separator: " "))")
  }

  private static func connect(_ text: String, _ policy: CompiledPolicy) throws(SessionError) -> Decision {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
      throw .badRequest("net_connect wants ADDRESS:PORT, not \"\(text)\"")
    }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard let address = IPAddress(parsing: host) else {
      throw .badRequest("\"\(host)\" is no IP address; host names are not decided yet")
    }
    return policy.decideNetwork(address: address, port: port)
  }
}

/// Variables for a policy that no session has: paths in the workspace are written as `/workspace/…`.
func sampleContext(_ caller: Caller) -> PolicyContext {
  let home = (try? userEntry(uid: caller.uid))?.home ?? "/nonexistent"
  return PolicyContext(workspace: "/workspace", home: home)
}
