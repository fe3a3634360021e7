package import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

/// What a supervisor needs before it can begin: the launcher's listener and the channel to the daemon. A daemon gives
/// both; a client that became the supervisor takes the one from its launcher and hands it in on the other
/// (WRAP-PROTOCOL section 3). Until the listener comes the launcher is starting at the same time: what can be done without
/// it is done before. ADR 52
package struct Entrance: Sendable {
  package let frame: Frame
  /// `CallPort.number` in ptrace mode.
  package let listener: Int32
  package let tracing: Tracing?
  package let channel: Channel
  let headStart: HeadStart
  /// An agent that began again: its launcher is told by us to go on.
  let restart: Restart?

  /// Throws before anything of the agent has run.
  package init(_ arguments: SupervisorArguments) throws(Supervisor.Failure) {
    keepFreedMemory()
    rawCall(Int(SYS_prctl), Int(PR_SET_DUMPABLE), 0)
    rawCall(Int(SYS_prctl), Int(PR_SET_CHILD_SUBREAPER), 1)
    // Before it is looked at: what cannot be seen of it is seen of its launcher.
    restart = try arguments.restart.map { (file) throws(Supervisor.Failure) in
      try Self.restart(arguments, file)
    }
    do throws(Frame.Failure) {
      frame = try Frame(target: arguments.target, tty: arguments.tty, group: arguments.group)
    } catch {
      throw .frame(error)
    }
    switch arguments.source {
    case .given(let channel, let listener):
      tracing = try listener == nil ? Self.trace(arguments) : nil
      self.listener = listener ?? CallPort.number
      self.channel = Channel(owning: channel)
      headStart = try HeadStart(self.channel)
    case .launcher(let socket, let handIn):
      let plan: HandIn = try Self.read(handIn)
      channel = try Self.connect(plan)
      headStart = try HeadStart(channel)
      guard let taken = HandOver.take(from: socket, sender: arguments.pidfd) else {
        throw .launcher(Self.end(of: arguments))
      }
      tracing = arguments.traces ? try Self.trace(arguments) : nil
      let message = HandoffMessage.supervise(pid: arguments.target, token: plan.token)
      // In ptrace mode it is the target's pidfd.
      try Self.give(message, taken.number, channel.descriptor)
      listener = arguments.traces ? CallPort.number : taken.release()
    }
  }

  private static func connect(_ plan: HandIn) throws(Supervisor.Failure) -> Channel {
    let peer = UnixSocket.Peer(pid: plan.daemonPid, uid: plan.daemonUID)
    let socket: Int32
    do throws(HandOver.Failure) { socket = try HandOver.connect(to: plan.path, peer: peer).release() } catch {
      throw .handOver(error.reason)
    }
    try give(.prepare(token: plan.token), nil, socket)
    return Channel(owning: socket)
  }

  private static func give(
    _ message: HandoffMessage, _ descriptor: Int32?, _ socket: Int32
  ) throws(Supervisor.Failure) {
    do throws(HandOver.Failure) {
      try HandOver.give(
        message.bytes, descriptor: descriptor, on: socket, accepted: HandoffMessage.accepted)
    } catch { throw .handOver(error.reason) }
  }

  private static func trace(_ arguments: SupervisorArguments) throws(Supervisor.Failure) -> Tracing {
    do throws(SystemCallError) { return try Tracing(target: arguments.target) } catch {
      throw .mechanism(error)
    }
  }

  /// Has the target begin again, and waits until its launcher has said that it is ready to be traced.
  private static func restart(_ arguments: SupervisorArguments, _ file: Int32) throws(Supervisor.Failure)
    -> Restart
  {
    let plan: RestartPlan = try read(file)
    let restart: Restart
    do throws(SystemCallError) {
      restart = try Restart(plan, target: arguments.target, pidfd: arguments.pidfd)
    } catch { throw .restart(error) }
    guard HandOver.take(from: restart.socket, sender: arguments.pidfd) != nil else {
      sendSignal(arguments.pidfd, SIGKILL)
      throw .launcher(
        LaunchEnd(
          code: Supervisor.ownFailure, signal: nil, lastLine: LaunchLog(restart.log).lines.last,
          ownFailure: Supervisor.ownFailure))
    }
    return restart
  }

  private static func read<Plan: WireCodable>(_ file: Int32) throws(Supervisor.Failure) -> Plan {
    defer { closeDescriptor(file) }
    do throws(WireError) {
      // An agent's arguments may be long.
      guard case .success(let bytes) = readAll(file, limit: WireReader.lengthLimit) else {
        throw .truncated(offset: 0, wanted: 1)
      }
      var reader = WireReader(bytes)
      let plan = try reader.value(Plan.self)
      try reader.finish()
      return plan
    } catch { throw .handIn(error) }
  }

  /// A launcher that sent no listener: it has ended, or is ended now.
  static func end(of arguments: SupervisorArguments) -> LaunchEnd {
    sendSignal(arguments.pidfd, SIGKILL)
    let status = waitForExit(arguments.target)
    return LaunchEnd(
      code: clinux_wexitstatus(status),
      signal: clinux_wifsignaled(status) != 0 ? clinux_wtermsig(status) : nil,
      lastLine: LaunchLog(arguments.log).lines.last, ownFailure: Supervisor.ownFailure)
  }
}
