import AgentshAPI
import AgentshClient
import AgentshConfig
import ArgumentParser
import CLinux
import LinuxSystem

struct ServerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "server",
    abstract: "Run the daemon in the foreground, or stop it, or ask how it is.",
    discussion: """
      There is seldom a need to: agentsh wrap starts a daemon for you, which ends by itself after being idle. For a \
      machine with many users run it as a service (packaging/agentshd.service).

      Examples:
        agentsh server --config ~/.config/agentsh/config.yaml
        agentsh server status
        agentsh server stop
      """,
    subcommands: [Stop.self, Status.self])

  @Option(
    help: ArgumentHelp(
      "The configuration. Default: the user's or the machine's, if there is one.", valueName: "file"))
  var config: String?

  @Flag(help: "Be the machine's daemon, on /run/agentsh, for all users; as root only.") var system = false

  func run() throws {
    let context = try ProcessContext.current()
    let program = try InstalledPrograms.ofThisProcess().path(of: "agentshd")
    let words =
      [program, system ? "--system" : "--foreground"]
      + (config.map { ["--config", context.absolute($0)] } ?? [])
    let path = CStringTable([program])
    let arguments = CStringTable(words)
    let environment = CStringTable(context.environment)
    // SAFETY: the tables outlive the call; on success nothing of this program is left.
    let result = unsafe rawCall(
      Int(SYS_execve), kernelAddress(path.pointer.pointee), kernelAddress(arguments.pointer),
      kernelAddress(environment.pointer))
    throw CommandFailure("\(program) cannot be started: \(errnoText(Int32(-result)))")
  }

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "status", abstract: "Whether a daemon answers, and which. Exit status 1 where none does.")
    @Flag(help: "Print the daemon's answer as JSON.") var json = false
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      let client = try daemon.connect(.current())
      let body = try client.get(Route.health)
      if json { return Output.write(indented(json: body)) }
      let health = try client.health()
      Output.line(
        "agentshd \(health.version) runs as process \(health.pid) of uid \(health.uid) on \(client.socket)")
      Output.line("  since \(health.startedAt), \(health.sessions) session\(health.sessions == 1 ? "" : "s")")
      if health.onDemand { Output.line("  it was started on demand and ends by itself when idle") }
    }
  }

  struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "stop",
      abstract: "End your daemon and wait until it is gone.",
      discussion:
        "Sessions that run go on under their supervisors, and are taken back when a daemon starts again.")
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      let context = try ProcessContext.current()
      let here = try context.daemon()
      // root's own daemon is often the machine's.
      var sockets = [try daemon.socket.map(context.absolute) ?? here.userLocations().socket]
      if daemon.socket == nil, here.account.uid == 0 { sockets.append(here.system.socket) }
      for socket in sockets {
        guard let peer = try listener(on: socket) else { continue }
        guard peer.uid == here.account.uid else {
          throw CommandFailure("the daemon on \(socket) runs as uid \(peer.uid): it is not yours to stop")
        }
        try DaemonEnd(pid: peer.pid).request()
        return Output.line("agentshd (process \(peer.pid)) has ended")
      }
      Output.line("no daemon runs")
    }

    /// nil where nobody listens. The program is not checked: one of another installation may be stopped too.
    private func listener(on socket: String) throws(CommandFailure) -> UnixSocket.Peer? {
      do throws(SystemCallError) {
        let connection = try UnixSocket.connect(to: socket)
        return try UnixSocket.peer(of: connection)
      } catch {
        if [ENOENT, ENOTDIR, ECONNREFUSED].contains(error.errno) { return nil }
        throw CommandFailure("\(socket): \(error)")
      }
    }
  }
}

/// Asks a process to end and waits for it. `pidfd_open(2)`.
struct DaemonEnd {
  private static let limitMilliseconds = 30_000
  let pid: Int32

  func request() throws(CommandFailure) {
    guard pid > 0 else { throw CommandFailure("the daemon runs in another pid namespace; stop it there") }
    let opened = openPidfd(pid)
    if opened == -Int(ESRCH) { return }
    guard opened >= 0 else { throw CommandFailure("process \(pid): \(errnoText(Int32(-opened)))") }
    let pidfd = FileDescriptor(owning: Int32(opened))
    let sent = sendSignal(pidfd.number, SIGTERM)
    guard sent >= 0 || sent == -Int(ESRCH) else {
      throw CommandFailure("process \(pid) cannot be signalled: \(errnoText(Int32(-sent)))")
    }
    let ready = poll([(pidfd.number, Int16(POLLIN))], milliseconds: Self.limitMilliseconds)
    guard ready[0] != 0 else {
      throw CommandFailure("the daemon (process \(pid)) does not end within 30 s", hint: "kill -KILL \(pid)")
    }
  }
}
