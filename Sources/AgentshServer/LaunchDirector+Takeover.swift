import AgentshConfig
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging
import Synchronization

extension LaunchDirector {
  /// Takes over what was handed in, proves it, and serves the launch until its end.
  func take(_ handed: Handed, _ launch: Launch) {
    let answer = OneAnswer(handed.socket)
    defer {
      launch.removePlace()
      answer.give(HandoffMessage.rejected)
    }
    do throws(Refusal) {
      if case .ptrace(let pid) = handed.frame { return try restart(pid, handed, launch, answer) }
      guard case .notify(let message) = handed.frame, let listener = handed.listener else {
        throw Refusal("not a hand-off message")
      }
      let named = launch.isTraced ? pidfdProcess(listener.number) : nil
      let target = try target(message, named, handed.peer)
      if launch.isTraced {
        guard named == target.facts.pid else {
          throw Refusal("the descriptor is not a pidfd of process \(target.facts.pid)")
        }
        listener.close()
      } else {
        launch.hold(listener)
      }
      enclose(launch, target.facts.pid, target.pidfd)
      if case .supervise = message {
        try becomeChannel(handed, launch, target, answer)
      } else {
        try startSupervisor(launch.isTraced ? nil : listener, launch, target, answer)
      }
    } catch {
      _ = launch.takeListener()
      handed.listener?.close()
      services.logger.warning("session \(launch.session.details.id): launch refused: \(error.cause)")
      if let supervisor = launch.supervisor, launch.isSpawned { sendSignal(supervisor.number, SIGKILL) }
      perform(launch.session.apply(.failed(reason: error.cause), to: launch.id), launch)
    }
  }

  private typealias Target = (facts: ProcessFacts, pidfd: SharedDescriptor)

  /// The client becomes the supervisor: it has its own listener, and this connection is its channel.
  private func becomeChannel(
    _ handed: Handed, _ launch: Launch, _ target: Target, _ answer: OneAnswer
  ) throws(Refusal) {
    hold(
      launch, supervisor: try peerProcess(handed), target: (target.facts.pid, target.pidfd), spawned: false)
    try save(launch, supervisor: handed.peer.pid, target: target.facts.pid)
    try begin(launch, supervisor: handed.peer.pid, target: target.facts.pid)
    answer.give(HandoffMessage.accepted)
    launch.removePlace()
    // It was welcomed when it prepared.
    run(launch, handed.socket, launch.attach(handed.socket), awaitsReady: true, onReady: {})
  }

  /// An agent that runs already: it is held, and its supervisor has it begin again. One that its client is not told to have
  /// is ended.
  private func restart(
    _ pid: Int32, _ handed: Handed, _ launch: Launch, _ answer: OneAnswer
  ) throws(Refusal) {
    guard let plan = launch.restart else { throw Refusal("not a hand-off message") }
    let target = try target(pid, handed.peer)
    defer { if answer.isDue { sendSignal(target.pidfd.number, SIGKILL) } }
    sendSignal(target.pidfd.number, SIGSTOP)
    enclose(launch, pid, target.pidfd)
    try startSupervisor(nil, restart: plan, launch, target, answer)
  }

  /// For a client that does not become the supervisor, one is started; the client is answered when it is ready.
  private func startSupervisor(
    _ listener: ReceivedListener?, restart: RestartPlan? = nil, _ launch: Launch, _ target: Target,
    _ answer: OneAnswer
  ) throws(Refusal) {
    launch.removePlace()
    let spawned = try spawn(launch, listener, target, restart)
    hold(launch, supervisor: spawned.pidfd, target: (target.facts.pid, target.pidfd), spawned: true)
    try save(launch, supervisor: spawned.pid, target: target.facts.pid)
    try begin(launch, supervisor: spawned.pid, target: target.facts.pid)
    serve(launch, spawned.channel, onReady: { answer.give(HandoffMessage.accepted) })
  }

  private func begin(_ launch: Launch, supervisor: Int32, target: Int32) throws(Refusal) {
    _ = launch.session.apply(.handedOff(supervisor: supervisor, target: target), to: launch.id)
    guard launch.session.launches[launch.id] != nil, !launch.session.isDestroyed else {
      throw Refusal("the session was deleted")
    }
  }

  private func save(_ launch: Launch, supervisor: Int32, target: Int32) throws(Refusal) {
    guard let a = ProcessFacts.stat(supervisor), let b = ProcessFacts.stat(target) else {
      throw Refusal("a process of the launch is gone")
    }
    let record = LaunchRecord(
      launch: launch.id, bootID: ProcessFacts.bootID, session: launch.session.details,
      supervisor: (supervisor, a.start), target: (target, b.start), welcome: launch.welcome)
    do throws(SystemCallError) { try services.records.save(record) } catch {
      throw Refusal("the launch cannot be recorded: \(error)")
    }
  }

  private func peerProcess(_ handed: Handed) throws(Refusal) -> SharedDescriptor {
    do throws(SystemCallError) {
      return SharedDescriptor(try ServerSocket.peerPidfd(of: handed.socket.number, pid: handed.peer.pid))
    } catch { throw Refusal("the client's process cannot be held: \(error)") }
  }

  /// The launcher. `named`: whose pidfd came; for a message that names nobody.
  private func target(
    _ message: HandoffMessage, _ named: Int32?, _ peer: Caller
  ) throws(Refusal) -> Target {
    switch message {
    case .supervise(let given, _), .current(let given, _): return try target(given, peer)
    case .prepare: throw Refusal("not a hand-off message")
    case .old:
      if let named { return try target(named, peer) }
      return try target(try onlyFilteredChild(of: peer.pid), peer)
    }
  }

  /// A process of the caller's uid and a child of the peer, held by a pidfd before it is looked at.
  private func target(_ pid: Int32, _ peer: Caller) throws(Refusal) -> Target {
    guard peer.pid > 0 else { throw Refusal("the client is in another pid namespace") }
    let opened = openPidfd(pid)
    guard opened >= 0 else { throw Refusal("there is no process \(pid)") }
    let pidfd = SharedDescriptor(FileDescriptor(owning: Int32(opened)))
    guard let facts = ProcessFacts(pid: pid), !pidfd.processHasEnded else {
      throw Refusal("process \(pid) has ended")
    }
    // Real, effective, saved and of files: none may be another's, as with a setuid program.
    guard facts.users.allSatisfy({ $0 == peer.uid }) else {
      throw Refusal("process \(pid) is not of uid \(peer.uid)")
    }
    guard Set(facts.groups).count == 1 else { throw Refusal("process \(pid) runs with a group not its own") }
    guard facts.parent == peer.pid else { throw Refusal("process \(pid) is not a child of pid \(peer.pid)") }
    return (facts, pidfd)
  }

  /// The old form names no pid: the launcher is the one child that is under a filter of its own.
  private func onlyFilteredChild(of parent: Int32) throws(Refusal) -> Int32 {
    let own = ProcessFacts(pid: parent)?.filters ?? 0
    let candidates = ProcessFacts.parents().filter { $0.parent == parent }.map(\.pid).filter { pid in
      guard let facts = ProcessFacts(pid: pid) else { return false }
      return facts.noNewPrivileges && facts.filters > own
    }
    guard candidates.count == 1, let pid = candidates.first else {
      throw Refusal(
        "\(candidates.count) children of pid \(parent) may be the launcher; the client must say which")
    }
    return pid
  }

  private func spawn(
    _ launch: Launch, _ listener: ReceivedListener?, _ target: Target, _ restart: RestartPlan?
  ) throws(Refusal) -> SpawnedSupervisor {
    do throws(SpawnFailure) {
      return try SpawnedSupervisor(
        program: services.programs.supervisor, listener: listener, target: target.facts,
        targetPidfd: target.pidfd, group: launch.group, spoolPath: launch.welcome.spoolPath,
        restart: restart)
    } catch { throw Refusal("the supervisor cannot be started: \(error)") }
  }
}

/// The one byte that a client waits for: the first word counts.
private final class OneAnswer: Sendable {
  private let socket: Mutex<SharedDescriptor?>
  init(_ socket: SharedDescriptor) { self.socket = Mutex(socket) }

  var isDue: Bool { socket.withLock { $0 != nil } }

  func give(_ byte: UInt8) {
    guard let socket = socket.withLock({ $0.take() }) else { return }
    // A client that is gone needs no answer.
    try? ServerSocket.write([byte], to: socket.number)
  }
}
