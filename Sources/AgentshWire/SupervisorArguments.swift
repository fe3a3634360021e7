/// The command line of `agentsh-supervisor`, as the client or the daemon starts it. Descriptors are inherited.
///
///     agentsh-supervisor --target PID --pidfd N --channel N (--listener N | --trace [--restart N]) [--spool N] [--group N]
///     agentsh-supervisor --target PID --pidfd N --launch-socket N --hand-in N [--tty N] [--log N] [--quiet] [--trace]
///
/// The first form is a daemon's: the target is somebody else's child. In the second the client has become the
/// supervisor, and the target is this process's own child: the supervisor takes the listener from it, hands it in
/// (`HandIn`), tells it to go on, waits for it, passes its stops on and ends with its exit code.
package struct SupervisorArguments: Equatable, Sendable {
  package enum Source: Equatable, Sendable {
    /// Without a listener: ptrace mode.
    case given(channel: Int32, listener: Int32?)
    /// The socket to the launcher, and a memory file with a `HandIn`.
    case launcher(socket: Int32, handIn: Int32)
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

  /// The socket to the launcher, our child; nil where a daemon started us.
  package var launchSocket: Int32? {
    if case .launcher(let socket, _) = source { socket } else { nil }
  }

  /// All that have to be open in the supervisor.
  package var descriptors: [Int32] {
    let first: [Int32] =
      switch source {
      case .given(let channel, let listener): [channel] + [listener].compactMap { $0 }
      case .launcher(let socket, let handIn): [socket, handIn]
      }
    return first + [pidfd] + [tty, log, spool, group, restart].compactMap { $0 }
  }

  package var argv: [String] {
    var words = ["agentsh-supervisor", "--target", String(target), "--pidfd", String(pidfd)]
    switch source {
    case .given(let channel, let listener):
      words += ["--channel", String(channel)]
      if let listener { words += ["--listener", String(listener)] }
    case .launcher(let socket, let handIn):
      words += ["--launch-socket", String(socket), "--hand-in", String(handIn)]
    }
    if let tty { words += ["--tty", String(tty)] }
    if let log { words += ["--log", String(log)] }
    if let spool { words += ["--spool", String(spool)] }
    if let group { words += ["--group", String(group)] }
    if let restart { words += ["--restart", String(restart)] }
    if quiet { words.append("--quiet") }
    if traces { words.append("--trace") }
    return words
  }

  private static let names = [
    "--target", "--pidfd", "--channel", "--listener", "--launch-socket", "--hand-in", "--tty", "--log",
    "--spool", "--group", "--restart",
  ]

  /// Arguments without the program's name; nil when they are not as above.
  package init?(parsing words: [String]) {
    var numbers: [String: Int32] = [:]
    var (quiet, traces) = (false, false)
    var index = 0
    while index < words.count {
      if ["--quiet", "--trace"].contains(words[index]) {
        if words[index] == "--quiet" { quiet = true } else { traces = true }
        index += 1
        continue
      }
      guard
        Self.names.contains(words[index]),
        index + 1 < words.count, let number = Int32(words[index + 1]), number >= 0,
        numbers[words[index]] == nil
      else { return nil }
      numbers[words[index]] = number
      index += 2
    }
    let source: Source
    switch (numbers["--channel"], numbers["--listener"], numbers["--launch-socket"], numbers["--hand-in"]) {
    case (let channel?, let listener, nil, nil) where (listener == nil) == traces:
      source = .given(channel: channel, listener: listener)
    case (nil, nil, let socket?, let handIn?) where numbers["--restart"] == nil:
      source = .launcher(socket: socket, handIn: handIn)
    default: return nil
    }
    guard let target = numbers["--target"], let pidfd = numbers["--pidfd"],
      numbers["--restart"] == nil || traces
    else { return nil }
    self.init(source, target: target, pidfd: pidfd)
    tty = numbers["--tty"]
    log = numbers["--log"]
    spool = numbers["--spool"]
    group = numbers["--group"]
    restart = numbers["--restart"]
    self.quiet = quiet
    self.traces = traces
  }
}
