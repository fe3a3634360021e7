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
  /// Directory of the group that the client shall start the launcher in; nil where there is none, or it may not.
  let group: String?
}

extension LaunchDirector {
  /// Prepares a launch and waits for its listener on a thread, as long as the caller lives. Blocks shortly.
  /// `caller`: who sent wrap-init; the session may be somebody else's only for uid 0.
  func announce(
    _ session: LiveSession, caller: Caller, pidfd: SharedDescriptor, supervise: Bool, traced: Bool,
    restart: RestartPlan? = nil
  ) throws(SessionError) -> Announcement {
    let limit = services.config.limits.launches
    let count = all.count { $0.session.details.ownerUID == session.details.ownerUID }
    guard count < limit else {
      throw .tooMany("\(count) programs of yours run or are being started", limit: "launches")
    }
    let launch = Launch(
      id: .random(), session: session, welcome: welcome(session), isTraced: traced, restart: restart,
      intake: services.intake)
    // Where the client becomes the supervisor it has our rights, also to be born where we say. Made while the socket is.
    let group =
      supervise ? Errand("group") { self.prepareGroup(launch, for: caller.pid, pidfd) } : nil
    let token = randomBytes(HandoffMessage.tokenSize)
    let path: String
    do throws(SystemCallError) {
      let place = try HandoffPlace(
        below: services.locations.handoffDirectory, owner: (caller.uid, caller.gid), kinds: [.notify])
      path = place.socketPath(.notify)
      _ = session.apply(.announced, to: launch.id)
      guard session.launches[launch.id] != nil, let listener = place.listener(.notify) else {
        place.remove()
        throw SystemCallError("session", ECANCELED)
      }
      launch.setHandoff(listener, at: place)
      group?.outcome()
      add(launch)
      let thread = HandoffThread(
        launch: launch, listener: listener, pidfd: pidfd, caller: caller, token: token, supervise: supervise)
      try ReusedThread.start("handoff") { thread.run(self) }
    } catch {
      group?.outcome()
      launch.removePlace()
      perform(session.apply(.abandoned, to: launch.id), launch)
      if error.call == "session" { throw .notFound }
      throw .failed("the hand-off socket cannot be made: \(error)")
    }
    return Announcement(
      launch: launch.id, socket: path, token: token, supervise: supervise, group: launch.group?.path)
  }

  private func welcome(_ session: LiveSession) -> Welcome {
    let details = session.details
    let config = services.config
    return Welcome(
      sessionID: details.id, workspace: details.workspace.path, ownerUID: details.ownerUID,
      policy: details.rules,
      reattachKey: randomBytes(reattachKeySize), supervisorSocket: services.locations.supervisorSocket,
      spoolPath: services.locations.spoolDirectory + "/" + hex(randomBytes(8)) + ".spool",
      spoolLimit: min(config.spoolLimitBytes, config.limits.spoolBytesPerLaunch),
      overflow: config.overflow == .kill ? .kill : .block, approvalLimit: UInt32(config.limits.approvals),
      approvalTimeout: config.approvalTimeout.secondsRoundedUp)
  }
}
