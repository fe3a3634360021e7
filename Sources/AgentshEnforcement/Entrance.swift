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
    let origin: Origin
    switch arguments.source {
    case .given(let channel, let listener):
      origin = .daemon(listener: listener)
      self.channel = Channel(owning: channel)
    case .launcher(let socket, let plan):
      let handingIn = try HandingIn(try Self.read(plan))
      origin = .client(handingIn, launcher: socket)
      channel = handingIn.channel
    }
    // Before it is looked at: what cannot be seen of it is seen of its launcher.
    restart = try arguments.restart.map { (file) throws(Supervisor.Failure) in
      try Self.restart(arguments, file)
    }
    let channel = channel
    // On a thread with rights that we give up afterwards: nothing else runs on it.
    let beginning = Errand("head-start") { () -> Result<HeadStart, Supervisor.Failure> in
      do throws(Supervisor.Failure) {
        if case .client(let handingIn, _) = origin { try handingIn.awaitAcceptance() }
        return .success(try HeadStart(channel))
      } catch { return .failure(error) }
    }
    do throws(Frame.Failure) {
      frame = try Frame(target: arguments.target, tty: arguments.tty, group: arguments.group)
    } catch {
      throw .frame(error)
    }
    headStart = try beginning.outcome().get()
    switch origin {
    case .daemon(let listener):
      tracing = try listener == nil ? Self.trace(arguments) : nil
      self.listener = listener ?? CallPort.number
    case .client(let handingIn, launcher: let socket):
      guard let taken = HandOver.take(from: socket, sender: arguments.pidfd) else {
        throw .launcher(Self.end(of: arguments))
      }
      tracing = arguments.traces ? try Self.trace(arguments) : nil
      // In ptrace mode it is the target's pidfd.
      try handingIn.give(taken.number, of: arguments.target)
      listener = arguments.traces ? CallPort.number : taken.release()
    }
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

/// Who started this supervisor.
private enum Origin: Sendable {
  /// Without a listener: ptrace mode.
  case daemon(listener: Int32?)
  case client(HandingIn, launcher: Int32)
}

/// What is said to the daemon by a client that became the supervisor. WRAP-PROTOCOL section 3, `HandoffMessage`
private struct HandingIn: Sendable {
  let channel: Channel
  private let token: [UInt8]

  /// Connects and asks for the welcome.
  init(_ plan: HandIn) throws(Supervisor.Failure) {
    token = plan.token
    let peer = UnixSocket.Peer(pid: plan.daemonPid, uid: plan.daemonUID)
    do throws(HandOver.Failure) {
      channel = Channel(owning: try HandOver.connect(to: plan.path, peer: peer).release())
      try HandOver.send(HandoffMessage.prepare(token: token).bytes, nil, on: channel.descriptor)
    } catch { throw .handOver(error.reason) }
  }

  func awaitAcceptance() throws(Supervisor.Failure) {
    do throws(HandOver.Failure) {
      try HandOver.awaitAcceptance(on: channel.descriptor, HandoffMessage.accepted)
    } catch { throw .handOver(error.reason) }
  }

  func give(_ descriptor: Int32, of target: Int32) throws(Supervisor.Failure) {
    let message = HandoffMessage.supervise(pid: target, token: token)
    do throws(HandOver.Failure) {
      try HandOver.send(message.bytes, descriptor, on: channel.descriptor)
    } catch { throw .handOver(error.reason) }
    try awaitAcceptance()
  }
}
