import AgentshAPI
import AgentshAudit
import AgentshConfig
import AgentshEvent
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging
import Synchronization

/// Carries out what sessions ask for: announces launches, takes listeners, serves supervisors' channels, and ends what
/// nobody watches any more. Each launch has one thread; nothing here runs in a task.
final class LaunchDirector: Sendable {
  /// From welcome to ready.
  static let readySeconds: UInt64 = 30
  /// For one write to a supervisor.
  static let sendSeconds = 5

  let services: Services
  let eventRate: EventRate
  /// Says once in a while that an owner has too much waiting for approval.
  let approvalNews = EventRate(perSecond: 1)
  private let launches = Mutex<[LaunchID: Launch]>([:])
  private let noted = Mutex<Set<String>>([])
  let mover = FirstMove()

  init(_ services: Services) {
    self.services = services
    eventRate = EventRate(perSecond: services.config.limits.eventsPerSecond)
  }

  var all: [Launch] { launches.withLock { Array($0.values) } }
  func launch(_ id: LaunchID) -> Launch? { launches.withLock { $0[id] } }
  func add(_ launch: Launch) { launches.withLock { $0[launch.id] = launch } }

  /// Whether a program runs, or is about to.
  var isBusy: Bool { launches.withLock { !$0.isEmpty } }

  /// For what is so on this machine, or for this user, and would be said at every launch.
  func noteOnce(_ sentence: String, about what: String, _ level: Logger.Level = .warning) {
    if noted.withLock({ $0.insert(what).inserted }) { services.logger.log(level: level, "\(sentence)") }
  }

  // MARK: carrying out

  func perform(_ actions: [SessionState.Action], _ launch: Launch) {
    for action in actions {
      switch action {
      case .record(let fact): record(fact, launch)
      case .kill(let target): kill(launch, target)
      case .end(let reason): end(launch, reason)
      case .release: release(launch)
      case .discard: discard(launch.session)
      }
    }
  }

  private func record(_ fact: SessionState.Fact, _ launch: Launch) {
    let details = launch.session.details
    let event = services.lifecycle.fact(fact, details.id)
    services.record(event, owner: details.ownerUID)
    // What is as it should be is in the record alone: the log of a user's daemon grows for as long as there are sessions.
    services.logger.log(
      level: fact.isOrdinary ? .debug : .info, "\(String(decoding: event.json, as: UTF8.self))")
  }

  /// The tree first: while its listener is open, what it asks for is answered or waits, and nothing gets through.
  func kill(_ launch: Launch, _ target: Int32) {
    if !killGroup(launch), let pidfd = launch.target, !pidfd.processHasEnded {
      killTree(target, pidfd: pidfd.number)
    }
    if let supervisor = launch.supervisor { sendSignal(supervisor.number, SIGKILL) }
    if let listener = launch.takeListener() { endRemnant(of: launch, listener) }
  }

  private func end(_ launch: Launch, _ reason: String) {
    do throws(SystemCallError) { try launch.send(frame(.end, reason)) } catch {
      services.logger.warning(
        "session \(launch.session.details.id): the supervisor cannot be told to end: \(error)")
    }
  }

  private func release(_ launch: Launch) {
    // Before `release` drops it: a tree without a group may have orphans that no supervisor has found.
    let listener = launch.takeListener()
    guard launch.release() else { return }
    if !clearGroup(launch), let listener { endRemnant(of: launch, listener) }
    services.records.remove(launch.id)
    removeEmptySpool(launch)
    launch.events.finish()
    launches.withLock { _ = $0.removeValue(forKey: launch.id) }
  }

  /// Takes a session away that nothing ran in.
  func discard(_ session: LiveSession) {
    let details = session.details
    guard services.registry.remove(session) else { return }
    services.record(services.lifecycle.destroyed(details.id), owner: details.ownerUID)
  }

  // MARK: ending

  /// Ends every launch of a session: asked, then after `seconds` by force. True when nothing is left.
  func destroy(_ session: LiveSession, seconds: Int = 5) async -> Bool {
    for (id, actions) in session.destroy() {
      guard let launch = launch(id) else { continue }
      _ = try? await onThread("end") {
        self.perform(actions, launch)
        return .success(())
      }
    }
    for _ in 0..<(seconds * 20) {
      // Released ones have been recorded as well.
      if session.launches.isEmpty, !all.contains(where: { $0.session === session }) { return true }
      try? await Task.sleep(for: .milliseconds(50))
    }
    for (id, _) in session.launches {
      guard let launch = launch(id) else { continue }
      services.logger.warning("session \(session.details.id): the supervisor did not end, it is killed")
      _ = try? await onThread("kill") {
        self.perform(session.apply(.failed(reason: "the supervisor did not end the session"), to: id), launch)
        return .success(())
      }
    }
    return session.launches.isEmpty
  }
}
