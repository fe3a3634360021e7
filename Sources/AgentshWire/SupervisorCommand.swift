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

  private static let options = [
    "--target", "--pidfd", "--channel", "--listener", "--spool", "--group", "--restart", "--starter",
    "--start", "--tty",
  ]
  private static let flags = ["--quiet", "--trace"]

  /// Whom to supervise; nil where that is to be told yet.
  package var arguments: SupervisorArguments? {
    if case .given(let arguments) = self { arguments } else { nil }
  }

  /// All that have to be open in the supervisor.
  package var descriptors: [Int32] {
    switch self {
    case .given(let arguments): arguments.descriptors
    case .starter(let starter): [starter.socket] + [starter.tty].compactMap { $0 }
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
    var numbers: [String: Int32] = [:]
    var flags: Set<String> = []
    var index = 0
    while index < words.count {
      let word = words[index]
      index += 1
      if Self.flags.contains(word) {
        guard flags.insert(word).inserted else { return nil }
        continue
      }
      guard Self.options.contains(word), index < words.count, let number = Int32(words[index]), number >= 0,
        numbers.updateValue(number, forKey: word) == nil
      else { return nil }
      index += 1
    }
    let wanted = Set(numbers.keys)
    if let pid = numbers["--starter"], let socket = numbers["--start"] {
      guard wanted.isSubset(of: ["--starter", "--start", "--tty"]), !flags.contains("--trace") else {
        return nil
      }
      self = .starter(
        Starter(pid: pid, socket: socket, tty: numbers["--tty"], quiet: flags.contains("--quiet")))
      return
    }
    let traces = flags.contains("--trace")
    guard let channel = numbers["--channel"], let target = numbers["--target"],
      let pidfd = numbers["--pidfd"],
      wanted.isDisjoint(with: ["--starter", "--start", "--tty"]), !flags.contains("--quiet"),
      (numbers["--listener"] == nil) == traces, numbers["--restart"] == nil || traces
    else { return nil }
    var arguments = SupervisorArguments(
      .given(channel: channel, listener: numbers["--listener"]), target: target, pidfd: pidfd)
    arguments.spool = numbers["--spool"]
    arguments.group = numbers["--group"]
    arguments.restart = numbers["--restart"]
    arguments.traces = traces
    self = .given(arguments)
  }
}
