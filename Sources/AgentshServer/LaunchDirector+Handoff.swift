import AgentshConfig
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem

/// What wrap-init tells the client.
struct Announcement: Sendable {
  let launch: LaunchID
  let socket: String
  let token: [UInt8]
  let supervise: Bool
}

extension LaunchDirector {
  /// Each connection's time, from accept to its one message.
  static let messageSeconds: UInt64 = 5
  /// Connections that may wait at a time; more are closed at once.
  static let waitingLimit = 16

  /// Prepares a launch and waits for its listener on a thread, as long as the caller lives. Blocks shortly.
  /// `caller`: who sent wrap-init; the session may be somebody else's only for uid 0.
  func announce(
    _ session: LiveSession, caller: Caller, pidfd: SharedDescriptor, supervise: Bool,
    quota: Int = announcedLimit
  ) throws(SessionError) -> Announcement {
    let waiting = all.filter {
      $0.session.details.ownerUID == session.details.ownerUID && $0.supervisor == nil
    }
    guard waiting.count < quota else {
      throw .limit("\(waiting.count) programs of yours are being started already")
    }
    let launch = Launch(id: .random(), session: session, welcome: welcome(session), intake: services.intake)
    let token = randomBytes(HandoffMessage.tokenSize)
    let path: String
    do throws(SystemCallError) {
      let socket = try HandoffSocket(
        below: services.locations.handoffDirectory, owner: (caller.uid, caller.gid))
      path = socket.path
      _ = session.apply(.announced, to: launch.id)
      guard session.launches[launch.id] != nil else {
        socket.remove()
        throw SystemCallError("session", ECANCELED)
      }
      add(launch)
      try startHandoff(
        HandoffThread(
          launch: launch, socket: socket, pidfd: pidfd, caller: caller, token: token, supervise: supervise))
    } catch {
      perform(session.apply(.abandoned, to: launch.id), launch)
      if error.call == "session" { throw .notFound }
      throw .failed("the hand-off socket cannot be made: \(error)")
    }
    return Announcement(launch: launch.id, socket: path, token: token, supervise: supervise)
  }

  private func startHandoff(_ thread: consuming HandoffThread) throws(SystemCallError) {
    let box = HandoffBox(thread)
    do throws(SystemCallError) {
      try NamedThread.start("handoff") { box.run(self) }
    } catch {
      box.abandon()
      throw error
    }
  }

  private func welcome(_ session: LiveSession) -> Welcome {
    let details = session.details
    let config = services.config
    return Welcome(
      sessionID: details.id, workspace: details.workspace.path, ownerUID: details.ownerUID,
      policy: details.rules,
      reattachKey: randomBytes(reattachKeySize), supervisorSocket: services.locations.supervisorSocket,
      spoolPath: spoolPath(owner: details.ownerUID), spoolLimit: config.spoolLimitBytes,
      overflow: config.overflow == .kill ? .kill : .block)
  }

  /// The owner's supervisor must reach it: our own directory when that is us, else one of the owner's.
  private func spoolPath(owner: UInt32) -> String {
    let name = hex(randomBytes(8)) + ".spool"
    if owner == currentUser() { return services.locations.spoolDirectory + "/" + name }
    return services.locations.runtimeDirectory + "/spool/\(owner)/" + name
  }
}
