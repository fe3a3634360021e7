import AgentshAPI
import AgentshClient
import LinuxSystem

/// The session that a command is wrapped into: one that exists, or one made for it.
struct WrapSession {
  let client: APIClient
  let id: String
  /// Made by us: goes again when the command cannot be started.
  private let isOurs: Bool

  /// - Parameter request: for a new session, where `existing` names none.
  init(existing: String?, _ request: CreateSessionRequest, _ client: APIClient) throws(ClientError) {
    self.client = client
    isOurs = existing == nil
    if let existing {
      id = existing
    } else {
      id = try client.createSession(request).id
    }
  }

  /// wrap-init. A daemon that wants what this client does not do is refused.
  func initialize(
    _ program: String, _ options: WrapOptions, uid: UInt32
  ) throws(CommandFailure) -> WrapInitResponse {
    var request = WrapInitRequest(agentCommand: program, agentArgs: Array(options.command.dropFirst()))
    request.callerUID = Int64(uid)
    request.mode = ""
    request.supervise = true
    request.allowDegraded = options.allowDegraded
    let response: WrapInitResponse
    do throws(ClientError) { response = try client.wrapInit(id, request) } catch {
      throw CommandFailure(
        error, code: error.code == .commandDenied ? ExitStatus.denied : ExitStatus.notWrapped)
    }
    if response.ptraceMode == true {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "the daemon asks for ptrace mode, which is not built yet")
    }
    if let path = response.signalSocket, !path.isEmpty {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "the daemon asks for a separate signal listener, which is not built")
    }
    return response
  }

  /// What the launcher is started with: filtered, then what identifies the session, the operator's, the launcher's.
  func environment(
    _ response: WrapInitResponse, _ inherited: [[UInt8]]
  ) throws(CommandFailure) -> LaunchEnvironment {
    var environment = try LaunchEnvironment(
      filtering: inherited, by: response.envPolicy ?? EnvironmentPolicy())
    environment.set(["AGENTSH_SESSION_ID": id])
    if response.safeToBypassShellShim == true { environment.set(["AGENTSH_IN_SESSION": "1"]) }
    environment.set(response.envInject ?? [:])
    environment.set(response.wrapperEnv ?? [:])
    return environment
  }

  /// Takes a session away that nothing ran in.
  func discard() {
    guard isOurs else { return }
    // Best effort: what is left is an empty session.
    try? client.deleteSession(id)
  }
}
