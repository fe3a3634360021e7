import AgentshAPI
import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// `agentsh wrap`, from the command line to the running agent.
struct Wrap {
  let options: WrapOptions
  let context: ProcessContext

  /// Ends as the supervisor, in a child of it as the command, or, under a daemon of another uid, with the agent's exit code.
  /// Throws when the command never ran.
  func run() throws(CommandFailure) -> Int32 {
    try Confinement.refuse(context)
    let lookup = CommandLookup(searchPath: context.value(of: "PATH"), directory: context.directory)
    let program = try lookup.resolve(options.command[0])
    let descriptors = try InheritedDescriptors(
      asked: options.keepFD, makeFlags: context.value(of: "MAKEFLAGS"))
    let workspace = options.root.map(context.absolute) ?? context.directory
    let wanted = try options.policy.request(
      workspace: workspace, context, failingWith: ExitStatus.notWrapped)
    let place = try findDaemon()
    // One of our own uid is our own daemon (`DaemonTrust`), which leaves supervising to us.
    let supervise = place.client.peer.uid == place.daemon.account.uid
    let request = StartRequest(
      session: options.session, create: wanted, wrapInit: startRequest(program, place, supervise: supervise))
    try WrapSession.ask(request, place.client)
    let supervising: Supervising?
    if supervise {
      supervising = try Supervising.begin(
        place.supervisor, quiet: options.quiet, runtimeVariable: place.daemon.runtimeVariable)
    } else {
      supervising = nil
    }
    let session = try answer(to: request, at: place)
    do throws(CommandFailure) {
      guard let supervising else { return try accompany(program, session, descriptors, place.daemon) }
      try becomeCommand(program, session, descriptors, for: supervising)
    } catch {
      session.discard()
      throw error
    }
    session.discard()
    return ExitStatus.notWrapped
  }

  /// What is there before anything is asked for.
  private struct Place {
    let daemon: Daemon
    let supervisor: String
    let client: APIClient
  }

  private func findDaemon() throws(CommandFailure) -> Place {
    do throws(ClientError) {
      let daemon = try context.daemon()
      return Place(
        daemon: daemon, supervisor: try daemon.programs.path(of: "agentsh-supervisor"),
        client: try daemon.connect(
          context.daemonOptions(socket: options.socket, config: options.config, start: true)))
    } catch {
      if case .notReachable = error { try Confinement.refuse(context, always: true) }
      throw CommandFailure(error, code: ExitStatus.notWrapped)
    }
  }

  private func startRequest(_ program: String, _ place: Place, supervise: Bool) -> WrapInitRequest {
    var request = WrapInitRequest(agentCommand: program, agentArgs: Array(options.command.dropFirst()))
    request.callerUID = Int64(place.daemon.account.uid)
    request.mode = ""
    request.supervise = supervise
    request.allowDegraded = options.allowDegraded
    if isWithoutFilter() { request.listener = WrapInitRequest.listenerAvailable }
    return request
  }

  private func answer(to request: StartRequest, at place: Place) throws(CommandFailure) -> WrapSession {
    let supervisor = place.supervisor
    return try WrapSession(asked: request, place.client) {
      () throws(CommandFailure) in try tryListener(supervisor: supervisor)
    }
  }

  /// Becomes the command, as the supervisor's. Returns when that is gone, who has told the person why.
  private func becomeCommand(
    _ program: String, _ session: WrapSession, _ descriptors: InheritedDescriptors,
    for supervising: borrowing Supervising
  ) throws(CommandFailure) {
    let response = session.response
    let handOver = try ListenerHandOver(response, daemon: session.client.peer)
    guard supervising.tell(handOver.handIn) else { return }
    let launch = try commandLaunch(program, session, descriptors)
    let log = try LaunchLog()
    let pair = try PacketPair()
    for sentence in response.degraded ?? [] { Output.note("agentsh: not enforced: \(sentence)") }
    if let group = response.controlGroup { beReborn(in: group) }
    guard
      try supervising.give(socket: pair.ours.number, log: log, traces: response.ptraceMode == true)
    else { return }
    closeDescriptor(pair.ours.release())
    launch.become(socket: pair.theirs.release(), log: log.release())
  }

  private func commandLaunch(
    _ program: String, _ session: WrapSession, _ descriptors: InheritedDescriptors
  ) throws(CommandFailure) -> CommandLaunch {
    let environment = try session.environment(context.environment)
    return CommandLaunch(
      plan: try session.plan(), command: commandBytes(program, environment), environment: environment,
      descriptors: descriptors)
  }

  /// The daemon has the supervisor: we give it the listener, and are the agent's parent and nothing more.
  private func accompany(
    _ program: String, _ session: WrapSession, _ descriptors: InheritedDescriptors, _ daemon: Daemon
  ) throws(CommandFailure) -> Int32 {
    let handOver = try ListenerHandOver(session.response, daemon: session.client.peer)
    let launched = try commandLaunch(program, session, descriptors).start()
    let listener = try launched.listener()
    for sentence in (session.response.degraded ?? []) + launched.log.degraded {
      Output.note("agentsh: not enforced: \(sentence)")
    }
    let message = HandoffMessage.current(pid: launched.pid, token: handOver.token)
    do throws(CommandFailure) { try handOver.give(message, listener: listener.number) } catch {
      launched.abandon()
      throw error
    }
    // The supervisor has its own copy; with ours open the tree would wait for answers after that one's end.
    closeDescriptor(listener.release())
    return wait(for: launched, session, daemon)
  }

  private func wait(
    for launched: consuming LaunchedProcess, _ session: WrapSession, _ daemon: Daemon
  ) -> Int32 {
    let parent = PlainParent(pid: launched.pid, pidfd: launched.pidfd.number)
    guard PlainParent.letGo(launched.socket.number) else {
      launched.abandon()
      Output.note("agentsh: the launcher ended before the command")
      return ExitStatus.notWrapped
    }
    closeDescriptor(launched.socket.release())
    let code = parent.wait()
    if code == ExitStatus.denied || code == ExitStatus.notFound, let reason = launched.log.lastFailure {
      Output.note("agentsh: \(reason)")
    }
    if !options.quiet {
      DenialSummary(daemon: daemon, socket: session.client.socket, session: session.id).print()
    }
    return code
  }

  /// argv as the person typed it, bytes and all. The launcher looks the name up as we did; where it has another PATH, the
  /// program's absolute path stands for the name.
  private func commandBytes(_ program: String, _ environment: LaunchEnvironment) -> [[UInt8]] {
    let typed = Array(context.arguments.suffix(options.command.count))
    let path = context.value(of: "PATH").map { Array("PATH=\($0)".utf8) }
    if CommandLookup.isPath(options.command[0]) || path.map(environment.entries.contains) == true {
      return typed
    }
    return [Array(program.utf8)] + typed.dropFirst()
  }
}
