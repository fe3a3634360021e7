/// The command line of `agentsh-supervisor`, as the client or the daemon starts it. Descriptors are inherited.
///
///     agentsh-supervisor --target PID --pidfd N --channel N (--listener N | --trace [--restart N]) [--spool N] [--group N]
///     agentsh-supervisor --starter PID --start N [--tty N] [--quiet]
///
/// The first form is a daemon's: the target is somebody else's child. In the second the client has become the supervisor
/// as soon as it had a daemon: its child, the starter, asks that for the start and tells over the socket `--start` where the
/// listener is to be handed in (`HandIn`), then whom to supervise (`Started`).
package enum SupervisorCommand: Equatable, Sendable {
  case given(SupervisorArguments)
  case starter(Starter)

  /// Whom to supervise; nil where that is to be told yet.
  package var arguments: SupervisorArguments? {
    if case .given(let arguments) = self { arguments } else { nil }
  }

  /// All that have to be open in the supervisor.
  package var descriptors: [Int32] {
    switch self {
    case .given(let arguments): arguments.descriptors
    case .starter(let starter): starter.tty.map { [starter.socket, $0] } ?? [starter.socket]
    }
  }

  package var argv: [String] {
    var words = ["agentsh-supervisor"]
    func add(_ option: String, _ number: Int32?) {
      if let number { words += [option, String(number)] }
    }
    switch self {
    case .given(let arguments):
      add("--target", arguments.target)
      add("--pidfd", arguments.pidfd)
      if case .given(let channel, let listener) = arguments.source {
        add("--channel", channel)
        add("--listener", listener)
      }
      add("--spool", arguments.spool)
      add("--group", arguments.group)
      add("--restart", arguments.restart)
      if arguments.traces { words.append("--trace") }
    case .starter(let starter):
      add("--starter", starter.pid)
      add("--start", starter.socket)
      add("--tty", starter.tty)
      if starter.quiet { words.append("--quiet") }
    }
    return words
  }

  /// Arguments without the program's name; nil when they are not as above.
  package init?(parsing words: [String]) {
    var (target, pidfd, channel, listener): (Int32?, Int32?, Int32?, Int32?)
    var (spool, group, restart): (Int32?, Int32?, Int32?)
    var (starter, start, tty): (Int32?, Int32?, Int32?)
    var (quiet, traces) = (false, false)
    var index = 0
    func take(_ place: inout Int32?) -> Bool {
      guard place == nil, index < words.count, let number = Int32(words[index]), number >= 0 else {
        return false
      }
      place = number
      index += 1
      return true
    }
    while index < words.count {
      let word = words[index]
      index += 1
      let isTaken =
        switch word {
        case "--target": take(&target)
        case "--pidfd": take(&pidfd)
        case "--channel": take(&channel)
        case "--listener": take(&listener)
        case "--spool": take(&spool)
        case "--group": take(&group)
        case "--restart": take(&restart)
        case "--starter": take(&starter)
        case "--start": take(&start)
        case "--tty": take(&tty)
        case "--quiet": turnOn(&quiet)
        case "--trace": turnOn(&traces)
        default: false
        }
      guard isTaken else { return nil }
    }
    if let starter, let start {
      let others = [target, pidfd, channel, listener, spool, group, restart]
      guard !traces, others.allSatisfy({ $0 == nil }) else { return nil }
      self = .starter(Starter(pid: starter, socket: start, tty: tty, quiet: quiet))
      return
    }
    guard let channel, let target, let pidfd, starter == nil, start == nil, tty == nil, !quiet,
      (listener == nil) == traces, restart == nil || traces
    else { return nil }
    var arguments = SupervisorArguments(
      .given(channel: channel, listener: listener), target: target, pidfd: pidfd)
    arguments.spool = spool
    arguments.group = group
    arguments.restart = restart
    arguments.traces = traces
    self = .given(arguments)
  }
}

/// False where it is on already.
private func turnOn(_ flag: inout Bool) -> Bool {
  defer { flag = true }
  return !flag
}
