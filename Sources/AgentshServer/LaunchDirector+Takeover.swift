import AgentshConfig
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging

extension LaunchDirector {
  /// Takes over what was handed in, proves it, and serves the launch until its end.
  func take(_ handed: consuming Handed, _ launch: Launch, _ caller: Caller) {
    let socket = handed.socket
    do throws(Refusal) {
      let target = try target(handed.message, handed.peer)
      if case .supervise = handed.message {
        let supervisor = try peerProcess(handed)
        launch.setProcesses(supervisor: supervisor, target: target.pidfd, spawned: false)
        try save(launch, supervisor: handed.peer.pid, target: target.pid)
        try begin(launch, supervisor: handed.peer.pid, target: target.pid)
        _ = (consume handed)
        try answerAccepted(socket, launch)
        serve(launch, socket, onReady: {})
      } else {
        let spawned = try spawn(launch, handed.listener, target: target)
        _ = (consume handed)
        launch.setProcesses(supervisor: spawned.pidfd, target: target.pidfd, spawned: true)
        try save(launch, supervisor: spawned.pid, target: target.pid)
        try begin(launch, supervisor: spawned.pid, target: target.pid)
        serve(
          launch, spawned.channel,
          onReady: { try? ServerSocket.write([HandoffMessage.accepted], to: socket.number) })
        // Without effect when it was answered already: the client reads one byte.
        try? ServerSocket.write([HandoffMessage.rejected], to: socket.number)
      }
    } catch {
      services.logger.warning("session \(launch.session.details.id): launch refused: \(error.cause)")
      if let supervisor = launch.supervisor, launch.isSpawned { sendSignal(supervisor.number, SIGKILL) }
      try? ServerSocket.write([HandoffMessage.rejected], to: socket.number)
      perform(launch.session.apply(.failed(reason: error.cause), to: launch.id), launch)
    }
  }

  private func begin(_ launch: Launch, supervisor: Int32, target: Int32) throws(Refusal) {
    _ = launch.session.apply(.handedOff(supervisor: supervisor, target: target), to: launch.id)
    guard launch.session.launches[launch.id] != nil, !launch.session.isDestroyed else {
      throw Refusal("the session was deleted")
    }
  }

  private func answerAccepted(_ socket: SharedDescriptor, _ launch: Launch) throws(Refusal) {
    do throws(SystemCallError) {
      try ServerSocket.makeBlocking(socket.number, sendSeconds: Self.sendSeconds)
      try ServerSocket.write([HandoffMessage.accepted], to: socket.number)
    } catch { throw Refusal("the client cannot be answered: \(error)") }
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

  private func peerProcess(_ handed: borrowing Handed) throws(Refusal) -> SharedDescriptor {
    do throws(SystemCallError) {
      return SharedDescriptor(try ServerSocket.peerPidfd(of: handed.socket.number, pid: handed.peer.pid))
    } catch { throw Refusal("the client's process cannot be held: \(error)") }
  }

  /// The launcher: a process of the caller's uid and a child of the peer, held by a pidfd before it is looked at.
  private func target(
    _ message: HandoffMessage, _ peer: Caller
  ) throws(Refusal) -> (pid: Int32, pidfd: SharedDescriptor) {
    guard peer.pid > 0 else { throw Refusal("the client is in another pid namespace") }
    let pid: Int32
    switch message {
    case .supervise(let given, _), .current(let given, _): pid = given
    case .old: pid = try onlyFilteredChild(of: peer.pid)
    }
    let opened = openPidfd(pid)
    guard opened >= 0 else { throw Refusal("there is no process \(pid)") }
    let pidfd = SharedDescriptor(FileDescriptor(owning: Int32(opened)))
    guard let facts = ProcessFacts(pid: pid), !pidfd.processHasEnded else {
      throw Refusal("process \(pid) has ended")
    }
    guard facts.uid == peer.uid else { throw Refusal("process \(pid) is not of uid \(peer.uid)") }
    guard facts.parent == peer.pid else { throw Refusal("process \(pid) is not a child of pid \(peer.pid)") }
    return (pid, pidfd)
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
    _ launch: Launch, _ listener: SharedDescriptor, target: (pid: Int32, pidfd: SharedDescriptor)
  ) throws(Refusal) -> SpawnedSupervisor {
    do throws(SpawnFailure) {
      return try SpawnedSupervisor(
        program: services.programs.supervisor, owner: launch.session.details.ownerUID, listener: listener,
        target: target, spoolDirectory: services.locations.runtimeDirectory + "/spool")
    } catch { throw Refusal("the supervisor cannot be started: \(error)") }
  }
}
