/// The command line of `agentsh-supervisor`, as the client or the daemon starts it. Descriptors are inherited.
///
///     agentsh-supervisor --channel N --listener N --target PID --pidfd N
///                        [--launch-socket N] [--tty N] [--log N] [--spool N] [--quiet]
///
/// With `--launch-socket` the target is this process's own child: the supervisor tells it to go on, waits for it,
/// passes its stops on and ends with its exit code. Without, a daemon started it and the target is somebody else's.
package struct SupervisorArguments: Equatable, Sendable {
  package var channel: Int32
  package var listener: Int32
  package var target: Int32
  package var pidfd: Int32
  package var launchSocket: Int32?
  package var tty: Int32?
  /// A memory file with the launcher's diagnostics: for the person, when it ends without having become the command.
  package var log: Int32?
  /// The file for events while there is no daemon, where a daemon made it: another user's, so its path is no use.
  package var spool: Int32?
  package var quiet = false

  package init(channel: Int32, listener: Int32, target: Int32, pidfd: Int32) {
    self.channel = channel
    self.listener = listener
    self.target = target
    self.pidfd = pidfd
  }

  package var argv: [String] {
    var words = [
      "agentsh-supervisor", "--channel", String(channel), "--listener", String(listener), "--target",
      String(target),
      "--pidfd", String(pidfd),
    ]
    if let launchSocket { words += ["--launch-socket", String(launchSocket)] }
    if let tty { words += ["--tty", String(tty)] }
    if let log { words += ["--log", String(log)] }
    if let spool { words += ["--spool", String(spool)] }
    if quiet { words.append("--quiet") }
    return words
  }

  private static let names = [
    "--channel", "--listener", "--target", "--pidfd", "--launch-socket", "--tty", "--log", "--spool",
  ]

  /// Arguments without the program's name; nil when they are not as above.
  package init?(parsing words: [String]) {
    var numbers: [String: Int32] = [:]
    var quiet = false
    var index = 0
    while index < words.count {
      if words[index] == "--quiet" {
        quiet = true
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
    guard let channel = numbers["--channel"], let listener = numbers["--listener"],
      let target = numbers["--target"],
      let pidfd = numbers["--pidfd"]
    else { return nil }
    self.init(channel: channel, listener: listener, target: target, pidfd: pidfd)
    launchSocket = numbers["--launch-socket"]
    tty = numbers["--tty"]
    log = numbers["--log"]
    spool = numbers["--spool"]
    self.quiet = quiet
  }
}
