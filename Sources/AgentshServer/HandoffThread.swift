import AgentshSession
import AgentshWire
import LinuxSystem
import Logging

/// Waits on one launch's notify socket until the listener has come or the caller is gone, then goes on as the thread
/// of the launch.
struct HandoffThread: Sendable {
  let launch: Launch
  let listener: SharedDescriptor
  let pidfd: SharedDescriptor
  let caller: Caller
  let token: [UInt8]
  let supervise: Bool

  func run(_ director: LaunchDirector) {
    let handed = wait(director)
    guard let handed else {
      launch.removePlace()
      director.perform(launch.session.apply(.abandoned, to: launch.id), launch)
      return
    }
    director.take(handed, launch)
  }

  private func wait(_ director: LaunchDirector) -> Handed? {
    let launch = launch
    let token = token
    let supervise = supervise
    var loop = HandoffLoop(
      .notify, due: launch.due, listener: listener, callerUID: caller.uid, caller: pidfd,
      isOver: { launch.isReleased },
      onRefusal: { director.note($0, launch) })
    let handed = loop.next { (message) throws(Refusal) in
      switch message {
      case .notify(let message): try Self.check(message, token, supervise)
      // Comes where it is due. Who says it and whose it is, is looked at when it is taken: upstream's clients know no token.
      case .ptrace: break
      case .signal: throw Refusal("not a hand-off message")
      }
      if case .notify(.prepare) = message { return frame(.welcome, launch.welcome) }
      return []
    }
    for again in loop.repeated { director.note(again, launch) }
    return handed
  }

  private static func check(
    _ message: HandoffMessage, _ token: [UInt8], _ supervise: Bool
  ) throws(Refusal) {
    switch message {
    case .supervise(_, let given), .prepare(let given):
      guard supervise else { throw Refusal("the daemon starts the supervisor of this launch itself") }
      guard equalsInConstantTime(given, token) else { throw Refusal("the token is wrong") }
    case .current(_, let given?):
      guard equalsInConstantTime(given, token) else { throw Refusal("the token is wrong") }
    case .current(_, nil), .old: return
    }
  }
}

extension LaunchDirector {
  /// A connection to a launch's hand-off socket was turned away.
  func note(_ refusal: TurnedAway, _ launch: Launch) {
    let details = launch.session.details
    services.logger.warning(
      "session \(details.id): hand-off refused to uid \(refusal.peer.uid) pid \(refusal.peer.pid): \(refusal.cause) (\(refusal.count))"
    )
    services.record(
      services.lifecycle.handoffRefused(
        details.id, uid: refusal.peer.uid, pid: refusal.peer.pid, cause: refusal.cause,
        count: refusal.count), owner: details.ownerUID)
  }
}
