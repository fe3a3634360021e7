/// Whom a supervisor supervises, and what it was given for that.
package struct SupervisorArguments: Equatable, Sendable {
  package enum Source: Equatable, Sendable {
    /// By a daemon: the target is somebody else's child. Without a listener: ptrace mode.
    case given(channel: Int32, listener: Int32?)
    /// The socket to the launcher, this process's own child: the supervisor takes the listener from it, hands it in
    /// (`HandIn`), tells it to go on, waits for it, passes its stops on and ends with its exit code.
    case launcher(socket: Int32)
  }
  package let source: Source
  package let target: Int32
  package let pidfd: Int32
  package var tty: Int32?
  /// A memory file with the launcher's diagnostics: for the person, when it ends without having become the command.
  package var log: Int32?
  /// The file for events while there is no daemon, where a daemon made it: another user's, so its path is no use.
  package var spool: Int32?
  /// The list of the tree's control group (`cgroup.procs`), where a daemon made one for a target that is not our child.
  package var group: Int32?
  /// A memory file with a `RestartPlan`, for a target that was started unsupervised and begins again under the launcher.
  package var restart: Int32?
  package var quiet = false
  /// Ptrace mode: the target is traced, and sends no listener.
  package var traces = false

  package init(_ source: Source, target: Int32, pidfd: Int32) {
    self.source = source
    self.target = target
    self.pidfd = pidfd
  }

  /// What a starter has told.
  ///
  /// - Parameter descriptors: those that came with `started`, in its order.
  package init?(_ starter: Starter, _ started: Started, _ descriptors: [Int32]) {
    guard descriptors.count == Started.descriptorCount else { return nil }
    self.init(.launcher(socket: descriptors[0]), target: started.target, pidfd: descriptors[1])
    log = descriptors[2]
    tty = starter.tty
    quiet = starter.quiet
    traces = started.traces
  }

  /// The socket to the launcher, our child; nil where a daemon started us.
  package var launchSocket: Int32? {
    if case .launcher(let socket) = source { socket } else { nil }
  }

  /// All that have to be open in the supervisor.
  package var descriptors: [Int32] {
    let first: [Int32] =
      switch source {
      case .given(let channel, let listener): [channel] + [listener].compactMap { $0 }
      case .launcher(let socket): [socket]
      }
    return first + [pidfd] + [tty, log, spool, group, restart].compactMap { $0 }
  }
}
