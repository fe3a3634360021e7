import AgentshWire
import CLinux
import LinuxSystem

extension Supervisor.Failure {
  /// What went wrong, in words for the person who started the agent, with the way out.
  package var sentence: String {
    switch self {
    case .launcher(let end): end.message
    case .starter: "the client ended"
    case .start(let error):
      "what was said of the start cannot be read: \(error) (agentsh and agentsh-supervisor of one version?)"
    case .handOver(let reason): "the hand-over to the daemon failed: \(reason); the daemon's log says more"
    case .restart(let error):
      "the agent, which had been started before, could not be started again under supervision, and was ended: \(error)"
    case .notListener: "the descriptor that was handed over is no seccomp listener"
    case .kernelStructures:
      "this kernel's notification structures are larger than those agentsh was built for: update agentsh"
    case .channel(let failure): "no word from the daemon: \(failure) (is it running? `agentsh server status`)"
    case .unexpectedFrame(let kind):
      "the daemon sent \(kind) where its welcome was due: versions that do not fit?"
    case .welcome(let error):
      "the daemon's welcome cannot be read: \(error) (daemon and supervisor of one version?)"
    case .policy(let error): "the policy does not compile: \(error)"
    case .frame(.anotherRoot):
      "the agent's root directory or mount namespace is not the supervisor's: start agentsh inside that container"
    case .frame(let failure): "the file system cannot be taken in: \(failure)"
    case .privileges(let error): "cannot drop privileges: \(error)"
    case .unreadableTarget(let errno):
      "the agent's memory could not be read (\(errnoText(errno))): where kernel.yama.ptrace_scope is 2 or 3, or a container forbids ptrace, nothing can be enforced; see `agentsh detect`"
    case .mechanism(let error):
      "this machine, or the container around it, refuses \(error): nothing can be enforced; see `agentsh detect`"
    case .threads(let error): "cannot start a thread: \(error)"
    }
  }
}

/// For a call with words that are not as `SupervisorArguments` has them.
package func reportUsage() {
  writeError("agentsh-supervisor: not started by hand; `agentsh wrap -- COMMAND` starts it\n")
}
