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
  package init(_ arguments: SupervisorArguments, _ approach: Approach) throws(Supervisor.Failure) {
    restart = approach.restart
    channel = approach.channel
    do throws(Frame.Failure) {
      frame = try Frame(target: arguments.target, tty: arguments.tty, group: arguments.group)
    } catch {
      throw .frame(error)
    }
    headStart = try approach.headStart()
    switch arguments.source {
    case .given(_, let listener):
      tracing = try listener == nil ? Self.trace(arguments) : nil
      self.listener = listener ?? CallPort.number
    case .launcher(let socket):
      guard let taken = HandOver.take(from: socket, sender: arguments.pidfd) else {
        throw .launcher(Self.end(of: arguments))
      }
      tracing = arguments.traces ? try Self.trace(arguments) : nil
      // In ptrace mode it is the target's pidfd.
      try approach.handIn(taken.number, of: arguments.target)
      listener = arguments.traces ? CallPort.number : taken.release()
    }
  }

  private static func trace(_ arguments: SupervisorArguments) throws(Supervisor.Failure) -> Tracing {
    do throws(SystemCallError) { return try Tracing(target: arguments.target) } catch {
      throw .mechanism(error)
    }
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
