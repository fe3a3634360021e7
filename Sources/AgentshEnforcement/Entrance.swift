package import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

/// What a supervisor needs before it can begin: the launcher's listener and the channel to the daemon. A daemon gives
/// both; a client that became the supervisor takes the one from its launcher and hands it in for the other
/// (WRAP-PROTOCOL section 3). Until then the launcher has been starting at the same time.
package struct Entrance: Sendable {
  package let frame: Frame
  /// `CallPort.number` in ptrace mode.
  package let listener: Int32
  package let tracing: Tracing?
  package let channel: Channel

  /// Throws before anything of the agent has run.
  package init(_ arguments: SupervisorArguments) throws(Supervisor.Failure) {
    keepFreedMemory()
    rawCall(Int(SYS_prctl), Int(PR_SET_DUMPABLE), 0)
    rawCall(Int(SYS_prctl), Int(PR_SET_CHILD_SUBREAPER), 1)
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
    case .launcher(let socket, let handIn):
      let plan = try Self.read(handIn)
      guard let taken = HandOver.take(from: socket, sender: arguments.pidfd) else {
        throw .launcher(Self.end(of: arguments))
      }
      tracing = arguments.traces ? try Self.trace(arguments) : nil
      channel = try Self.handIn(plan, taken.number)
      listener = arguments.traces ? CallPort.number : taken.release()
    }
  }

  /// Gives the daemon the listener, or in ptrace mode the target's pidfd.
  private static func handIn(_ plan: HandIn, _ descriptor: Int32) throws(Supervisor.Failure) -> Channel {
    let peer = UnixSocket.Peer(pid: plan.daemonPid, uid: plan.daemonUID)
    do throws(HandOver.Failure) {
      let connection = try HandOver.give(
        plan.message.bytes, descriptor: descriptor, to: plan.path, peer: peer,
        accepted: HandoffMessage.accepted)
      return Channel(owning: connection.release())
    } catch { throw .handOver(error.reason) }
  }

  private static func trace(_ arguments: SupervisorArguments) throws(Supervisor.Failure) -> Tracing {
    do throws(SystemCallError) { return try Tracing(target: arguments.target) } catch {
      throw .mechanism(error)
    }
  }

  private static func read(_ file: Int32) throws(Supervisor.Failure) -> HandIn {
    var text = PathText()
    _ = text.fill(capacity: PathText.limit) { rawCall(Int(SYS_pread64), Int(file), $0, PathText.limit, 0) }
    closeDescriptor(file)
    do throws(WireError) {
      var reader = WireReader(Array(text.bytes))
      let plan = try reader.value(HandIn.self)
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
