import AgentshAPI
import AgentshClient
import AgentshWire
import LinuxSystem

/// The session that a command is wrapped into, one that exists or one made for it, and the daemon's word on the start.
struct WrapSession {
  let client: APIClient
  let id: String
  let response: WrapInitResponse
  /// Made by us: goes again when the command cannot be started.
  private let isOurs: Bool

  /// Asks for session and wrap-init; `init` is due next, also in a child of this process instead of it.
  static func ask(_ request: StartRequest, _ client: APIClient) throws(CommandFailure) {
    do throws(ClientError) { try client.askLaunch(request) } catch { throw failure(error) }
  }

  /// The answer. A daemon that wants what this client does not do is refused; no session of ours stays.
  ///
  /// - Parameters:
  ///   - asked: what `ask` was given.
  ///   - tryingListener: what `WrapInitRequest.listener` is to say, where the daemon wants to know.
  init(
    asked: StartRequest, _ client: APIClient, tryingListener: () throws(CommandFailure) -> String
  ) throws(CommandFailure) {
    self.client = client
    isOurs = asked.session == nil
    do throws(ClientError) { (id, response) = try Self.answer(asked, client) } catch {
      guard error.code == .listenerUntried, asked.wrapInit.listener == nil else {
        throw Self.failure(error)
      }
      var again = asked
      again.wrapInit.listener = try tryingListener()
      try Self.ask(again, client)
      do throws(ClientError) { (id, response) = try Self.answer(again, client) } catch {
        throw Self.failure(error)
      }
    }
    let supervise = asked.wrapInit.supervise == true
    do throws(CommandFailure) { try Self.check(response, supervise: supervise) } catch {
      discard()
      throw error
    }
  }

  private static func failure(_ error: ClientError) -> CommandFailure {
    CommandFailure(error, code: error.code == .commandDenied ? ExitStatus.denied : ExitStatus.notWrapped)
  }

  private static func answer(
    _ asked: StartRequest, _ client: APIClient
  ) throws(ClientError) -> (String, WrapInitResponse) {
    if let launched = try client.launched() { return (launched.session, launched.wrapInit) }
    return try inTwoSteps(asked, client)
  }

  private static func inTwoSteps(
    _ request: StartRequest, _ client: APIClient
  ) throws(ClientError) -> (String, WrapInitResponse) {
    if let existing = request.session { return (existing, try client.wrapInit(existing, request.wrapInit)) }
    let id = try client.createSession(request.create).id
    do throws(ClientError) { return (id, try client.wrapInit(id, request.wrapInit)) } catch {
      try? client.deleteSession(id)
      throw error
    }
  }

  private static func check(_ response: WrapInitResponse, supervise: Bool) throws(CommandFailure) {
    guard supervise == (response.supervise == true) else {
      throw CommandFailure(
        code: ExitStatus.notWrapped,
        supervise
          ? "the daemon does not leave supervising to us, who are of its own uid"
          : "the daemon leaves supervising to us, who are of another uid",
        hint: "client and daemon of one version? `agentsh server status` says which runs")
    }
    if let path = response.signalSocket, !path.isEmpty {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "the daemon asks for a separate signal listener, which is not built")
    }
  }

  /// What the command gets: filtered, then what identifies the session, and the operator's. None of the launcher's own,
  /// which somebody may have set around us.
  func environment(_ inherited: [[UInt8]]) throws(CommandFailure) -> LaunchEnvironment {
    var environment = try LaunchEnvironment(
      filtering: inherited, by: response.envPolicy ?? EnvironmentPolicy())
    environment.set(["AGENTSH_SESSION_ID": id])
    if response.safeToBypassShellShim == true { environment.set(["AGENTSH_IN_SESSION": "1"]) }
    environment.set(response.envInject ?? [:])
    environment.remove(LauncherVariables.all)
    return environment
  }

  func plan() throws(CommandFailure) -> LaunchPlan {
    let reason: String
    do throws(WireError) {
      if let text = response.wrapperEnv?[LauncherVariables.plan] { return try LaunchPlan(hex: text) }
      reason = "the daemon gave none"
    } catch { reason = "\(error)" }
    throw CommandFailure(
      code: ExitStatus.notWrapped, "\(LaunchFailure.badPlan.sentence): \(reason)",
      hint: "client and daemon of one version? `agentsh server status` says which runs")
  }

  /// Takes a session away that nothing ran in.
  func discard() {
    guard isOurs else { return }
    // Best effort: what is left is an empty session.
    try? client.deleteSession(id)
  }
}
