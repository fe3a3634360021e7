import AgentshAPI
import AgentshAudit
import AgentshConfig
import AgentshEvent
import AgentshPolicy
import AgentshSession
import AgentshWire
import LinuxSystem

/// `POST /sessions/{id}/wrap-init`: checks what is to be started, and prepares its hand-off. WRAP-PROTOCOL, section 1.
struct WrapInit: Sendable {
  let services: Services
  let director: LaunchDirector

  func answer(
    _ wanted: WrapInitRequest, _ session: LiveSession, _ caller: Caller, _ pidfd: SharedDescriptor
  ) async throws(SessionError) -> WrapInitResponse {
    try await onThread("wrap-init", takesRights: caller.uid != currentUser()) {
      () -> Result<WrapInitResponse, SessionError> in
      Result { () throws(SessionError) in try self.answerHere(wanted, session, caller, pidfd) }
    }
  }

  /// Blocks; may leave the thread with another caller's rights to files.
  func answerHere(
    _ wanted: WrapInitRequest, _ session: LiveSession, _ caller: Caller, _ pidfd: SharedDescriptor
  ) throws(SessionError) -> WrapInitResponse {
    try check(wanted, session, caller)
    let traced = try isTraced(wanted)
    guard !traced || !session.details.rules.permissions.contains(.ptrace) else {
      throw SessionError(
        .unavailable, .mechanism, "the policy permits ptrace, which nobody inside can have in ptrace mode",
        hint: "take `permit` out of the policy, or use `enforcement: notify`")
    }
    let details = session.details
    let degraded = wanted.allowDegraded ?? false
    // The client can become the supervisor where it has the rights that the supervisor needs.
    let supervise = (wanted.supervise ?? false) && details.ownerUID == currentUser()
    let plan = launchPlan(
      for: details.rules, ownerUID: details.ownerUID, traced: traced, allowDegraded: degraded)
    guard let planText = plan.hex else { throw .failed("the launch plan does not fit into the environment") }
    // Told of ptrace mode, upstream's client starts the agent before anybody supervises it; else it takes the launcher.
    let restart =
      traced && !wanted.isOurs && services.config.runningAgents == .restart
      ? RestartPlan(
        launcher: services.programs.launcher, command: [wanted.agentCommand] + wanted.agentArgs,
        plan: planText)
      : nil
    try checkCommand(wanted, session, caller)
    let announcement = try director.announce(
      session, caller: caller, pidfd: pidfd, supervise: supervise, traced: traced, restart: restart)
    services.record(
      services.lifecycle.wrapInit(
        details.id, pid: caller.pid, command: wanted.agentCommand, arguments: wanted.agentArgs,
        socket: announcement.socket, wrapper: services.programs.launcher, isTraced: traced),
      owner: details.ownerUID)
    var answer = response(announcement, planText, details.rules.environment)
    if restart != nil {
      answer.wrapperBinary = ""
      answer.wrapperEnv = nil
    }
    if restart != nil || traced && wanted.isOurs { answer.ptraceMode = true }
    return answer
  }

  private func check(
    _ wanted: WrapInitRequest, _ session: LiveSession, _ caller: Caller
  ) throws(SessionError) {
    if let claimed = wanted.callerUID {
      guard claimed >= 0 else { throw .badRequest("caller_uid is negative") }
      // 0 is also what an old client says that does not know.
      guard claimed == 0 || claimed == Int64(caller.uid) else {
        throw .forbidden("caller_uid \(claimed) contradicts the kernel, which says \(caller.uid)")
      }
    }
    // An administrator sees others' sessions and ends them; programs run in them as their owner alone.
    guard caller.uid == session.details.ownerUID else {
      throw .forbidden("only uid \(session.details.ownerUID) may start programs in this session")
    }
    guard ["", "agent", "shim"].contains(wanted.mode ?? "") else {
      throw .badRequest("mode is \"agent\" or \"shim\"")
    }
    guard wanted.agentCommand.begins(with: "/") else {
      throw .badRequest("agent_command is not an absolute path: \"\(wanted.agentCommand)\"")
    }
    for text in [wanted.agentCommand] + wanted.agentArgs where text.utf8.contains(0) {
      throw .badRequest("an argument has a NUL in it")
    }
    for program in [services.programs.launcher, services.programs.supervisor]
    where !Programs.isProgram(program) {
      throw SessionError(
        .unavailable, .mechanism, "\(program) is missing",
        hint: "install agentsh completely, or build it again")
    }
  }

  /// Whether the tree is to be traced. Throws where the one mechanism that the configuration names cannot be had; the
  /// launcher finds out about the others where they are needed.
  private func isTraced(_ wanted: WrapInitRequest) throws(SessionError) -> Bool {
    switch services.enforcement {
    case .ptrace: return true
    case .notify:
      try Self.checkKernel()
      return false
    case .auto:
      do throws(SessionError) { try Self.checkKernel() } catch { return true }
      // Upstream's client does not know of it, and can be started in the one mode alone.
      guard
        let listener = wanted.listener ?? (wanted.isOurs ? nil : WrapInitRequest.listenerAvailable)
      else {
        throw SessionError(
          .conflict, .listenerUntried, "it is not known whether a seccomp listener can be had",
          hint: "ask again, with `listener` saying so")
      }
      return listener != WrapInitRequest.listenerAvailable
    }
  }

  private static func checkKernel() throws(SessionError) {
    let tracing =
      "with `enforcement: auto` in the daemon's configuration the tree is traced instead, which is slower"
    guard case .success(let bytes) = readAll("/proc/sys/kernel/seccomp/actions_avail", limit: 4096) else {
      throw SessionError(
        .unavailable, .mechanism,
        "seccomp cannot be had: /proc/sys/kernel/seccomp/actions_avail cannot be read",
        hint: "the kernel needs CONFIG_SECCOMP_FILTER and /proc must be mounted")
    }
    let words = String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\n" }
    guard words.contains("user_notif") else {
      throw SessionError(
        .unavailable, .mechanism, "the kernel has no seccomp user notification",
        hint: "Linux 5.0 or newer is needed; \(tracing)")
    }
  }

  /// The command itself, before anything is started. The supervisor decides again when it is executed.
  private func checkCommand(
    _ wanted: WrapInitRequest, _ session: LiveSession, _ caller: Caller
  ) throws(SessionError) {
    let policy: CompiledPolicy
    do throws(PolicyError) { policy = try CompiledPolicies.shared.compile(session.details.rules) } catch {
      throw .failed("the policy does not compile: \(error)")
    }
    let called = Array(wanted.agentCommand.utf8)
    let canonical: [UInt8]
    do throws(SystemCallError) {
      // With the caller's rights: what they cannot reach, our answer must not tell them about.
      canonical = try withFileRights(uid: caller.uid, gid: caller.gid) { canonicalFile(wanted.agentCommand) }
    } catch { throw .failed("the command cannot be looked at with your rights: \(error)") }
    let decision = decideCommand(
      policy, called: called, canonical: canonical, arguments: wanted.agentArgs,
      mounts: MountTable(of: caller.pid))
    // One that has to be approved is held when it is executed.
    if decision.permits || decision.asks { return }
    let (rule, message) = (policy.ruleName(decision), policy.message(decision))
    services.record(
      services.lifecycle.commandDenied(
        session.details.id, pid: caller.pid, command: wanted.agentCommand,
        canonical: String(decoding: canonical, as: UTF8.self), arguments: wanted.agentArgs,
        policy: PolicyOutcome(
          decision: decision.verdict.word.description, effectiveDecision: "deny", rule: rule,
          message: message.isEmpty ? nil : message)),
      owner: session.details.ownerUID)
    throw SessionError(
      .forbidden, .commandDenied,
      "the policy \(session.details.policyName) denies \(wanted.agentCommand): rule \(rule)"
        + (message.isEmpty ? "" : ": \(message)"))
  }

  private func response(
    _ announcement: Announcement, _ plan: String, _ environment: EnvironmentRules
  ) -> WrapInitResponse {
    var answer = WrapInitResponse()
    answer.safeToBypassShellShim = true
    answer.wrapperBinary = services.programs.launcher
    answer.stubBinary = ""
    answer.seccompConfig = #"{"plan":"environment"}"#
    answer.notifySocket = announcement.socket
    answer.wrapperEnv = [LauncherVariables.plan: plan]
    answer.envInject = environment.inject
    answer.envPolicy = EnvironmentPolicy(
      allow: environment.allow, deny: environment.deny, maxBytes: environment.maxBytes,
      maxKeys: environment.maxKeys)
    answer.handoffToken = hex(announcement.token)
    answer.supervise = announcement.supervise
    answer.controlGroup = announcement.group
    return answer
  }
}

/// What the policy says of a command that agentsh itself is to start.
func decideCommand(
  _ policy: CompiledPolicy, called: [UInt8], canonical: [UInt8], arguments: [String], mounts: MountTable?
) -> Decision {
  var decider = FileDecider(policy, limits: .few, mounts: mounts)
  let request = CommandRequest(
    canonical: canonical, called: called, calledNameCounts: true,
    arguments: Array(arguments.joined(separator: " ").utf8), depth: 0)
  return decider.decideCommand(request)
}

/// The name of the file behind a path, all links followed; the path itself where it cannot be opened.
func canonicalFile(_ path: String) -> [UInt8] {
  kernelName(path).map { Array($0.bytes) } ?? Array(path.utf8)
}
