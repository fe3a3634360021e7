import AgentshAudit
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging
import Synchronization

extension LaunchDirector {
  /// For the first frame of a supervisor that comes back.
  static let helloSeconds: UInt64 = 5
  /// Connections of one user to `supervisor.sock` that have not proved themselves.
  static let strangersLimit = 64

  // MARK: sessions of an earlier daemon

  /// Takes back what an earlier daemon ran. Called before anybody is served.
  func restore() {
    let (records, problems) = services.records.load()
    for problem in problems { services.logger.error("a launch record cannot be used: \(problem)") }
    let boot = ProcessFacts.bootID
    // Two users may have sessions of one name.
    for records in Dictionary(grouping: records, by: { "\($0.welcome.ownerUID) \($0.welcome.sessionID)" })
      .values
    {
      restore(records.sorted { $0.createdAt < $1.createdAt }, boot)
    }
    clearStaleGroups(except: Set(records.map(\.id)))
  }

  private func restore(_ records: [LaunchRecord], _ boot: String) {
    guard let first = records.first else { return }
    let id = first.welcome.sessionID
    let launches = records.map { ($0.id, (supervisor: $0.supervisorPid, target: $0.targetPid)) }
    let session = LiveSession(
      first.details, state: SessionState(detached: Dictionary(launches, uniquingKeysWith: { a, _ in a })))
    do throws(SessionError) { try services.registry.add(session) } catch {
      services.logger.error("session \(id) cannot be taken back: \(error)")
    }
    for record in records {
      let launch = Launch(id: record.id, session: session, welcome: record.welcome, intake: services.intake)
      let isThisBoot = record.bootID == boot && !boot.isEmpty
      let supervisor = isThisBoot ? process(record.supervisorPid, record.supervisorStart) : nil
      let target = isThisBoot ? process(record.targetPid, record.targetStart) : nil
      launch.setGroup(reopenGroup(of: record.id))
      add(launch)
      hold(launch, supervisor: supervisor, target: (record.targetPid, target), spawned: false)
      let generation = launch.generation
      do throws(SystemCallError) {
        try NamedThread.start("watch") { self.watch(launch, generation) }
      } catch { services.logger.error("session \(id) cannot be watched: \(error)") }
    }
  }

  /// A pidfd of the process that had this pid at that time; nil when it is gone.
  private func process(_ pid: Int32, _ start: UInt64) -> SharedDescriptor? {
    let opened = openPidfd(pid)
    guard opened >= 0 else { return nil }
    let pidfd = SharedDescriptor(FileDescriptor(owning: Int32(opened)))
    // Held first, looked at second: the pid cannot become another's in between unnoticed.
    guard ProcessFacts.stat(pid)?.start == start, !pidfd.processHasEnded else { return nil }
    return pidfd
  }

  // MARK: supervisor.sock

  /// Serves `supervisor.sock` for the rest of the daemon's life; its own thread.
  func acceptSupervisors(_ listener: SharedDescriptor) {
    let strangers = Strangers()
    while true {
      _ = waitForAny([listener.number], milliseconds: -1)
      guard let accepted = try? ServerSocket.accept(listener.number) else {
        // Out of descriptors, perhaps: not in a circle.
        _ = waitForAny([], milliseconds: 50)
        continue
      }
      let socket = SharedDescriptor(accepted)
      // Who has no launch here has nothing to come back to, and takes no thread.
      guard let peer = try? ServerSocket.peer(of: socket.number),
        all.contains(where: { $0.session.details.ownerUID == peer.uid }), strangers.enter(peer.uid)
      else { continue }
      do throws(SystemCallError) {
        try NamedThread.start("channel") { self.welcomeBack(socket, peer, strangers) }
      } catch {
        strangers.leave(peer.uid)
        services.logger.error("a supervisor cannot be served: \(error)")
      }
    }
  }

  private func welcomeBack(_ socket: SharedDescriptor, _ peer: Caller, _ strangers: Strangers) {
    let found = identify(socket, peer)
    strangers.leave(peer.uid)
    guard let launch = found else { return }
    do throws(SystemCallError) {
      try ServerSocket.makeBlocking(socket.number, sendSeconds: Self.sendSeconds)
    } catch { return }
    let generation = launch.attach(socket)
    dropApprovals(launch, upTo: generation - 1)
    // An older connection that we still believed in is over.
    _ = launch.session.apply(.channelClosed(cause: nil), to: launch.id)
    perform(launch.session.apply(.reattached, to: launch.id), launch)
    // What is taken but cannot be stored now is sent again, and known then.
    try? services.intake.catchUp()
    if let last = try? services.store.lastNumber(of: launch.id.number), last > 0 {
      try? launch.send(frame(.stored, last))
    }
    run(launch, socket, generation, awaitsReady: false, onReady: {})
  }

  /// Who says hello: the launch whose key, pid, uid and start time it has. Everything else is closed without an answer.
  private func identify(_ socket: SharedDescriptor, _ peer: Caller) -> Launch? {
    var reader = FrameReader(socket)
    let deadline = monotonicClock() + Self.helloSeconds * 1_000_000_000
    guard let (kind, payload) = try? reader.next(deadline: deadline), kind == .hello else { return nil }
    var fields = WireReader(payload)
    guard let hello = try? fields.value(Hello.self), fields.remaining == 0 else { return nil }
    let launch = all.first { launch in
      launch.session.details.id == hello.sessionID
        && equalsInConstantTime(launch.welcome.reattachKey, hello.reattachKey)
    }
    guard let launch, peer.uid == launch.session.details.ownerUID, peer.pid == hello.supervisorPid,
      peer.pid == launch.supervisorPid, launch.supervisor?.processHasEnded == false
    else {
      services.logger.warning("supervisor.sock: uid \(peer.uid) pid \(peer.pid) is no supervisor of ours")
      return nil
    }
    return launch
  }
}

/// Counts who has not proved itself, for each user: nobody uses up another's turn.
private final class Strangers: Sendable {
  private let counts = Mutex<[UInt32: Int]>([:])
  func enter(_ uid: UInt32) -> Bool {
    counts.withLock { counts in
      guard counts[uid, default: 0] < LaunchDirector.strangersLimit else { return false }
      counts[uid, default: 0] += 1
      return true
    }
  }
  func leave(_ uid: UInt32) {
    counts.withLock { counts in
      let left = counts[uid, default: 0] - 1
      counts[uid] = left > 0 ? left : nil
    }
  }
}

extension Launch {
  /// As the session knows it; nil before the hand-over and after the end.
  var supervisorPid: Int32? {
    switch session.launches[id] {
    case .starting(let supervisor, _), .running(let supervisor, _), .detached(let supervisor, _): supervisor
    case .announced, nil: nil
    }
  }
}
