import AgentshAPI
import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// `agentsh wrap`, from the command line to the running agent.
struct Wrap {
  let options: WrapOptions
  let context: ProcessContext

  /// Ends as the supervisor or, under a daemon of another uid, with the agent's exit code. Throws when the command never ran.
  func run() throws(CommandFailure) -> Int32 {
    try Confinement.refuse(context)
    let lookup = CommandLookup(searchPath: context.value(of: "PATH"), directory: context.directory)
    let program = try lookup.resolve(options.command[0])
    let descriptors = try InheritedDescriptors(
      asked: options.keepFD, makeFlags: context.value(of: "MAKEFLAGS"))
    let workspace = options.root.map(context.absolute) ?? context.directory
    let wanted = try options.policy.request(
      workspace: workspace, context, failingWith: ExitStatus.notWrapped)
    let stage = try prepare(program, wanted)
    do throws(CommandFailure) { return try start(program, stage, descriptors) } catch {
      stage.session.discard()
      throw error
    }
  }

  /// What is there before anything is started.
  private struct Stage {
    let daemon: Daemon
    let launcher: String
    let supervisor: String
    let session: WrapSession
  }

  private func prepare(_ program: String, _ wanted: CreateSessionRequest) throws(CommandFailure) -> Stage {
    let (daemon, launcher, supervisor, client): (Daemon, String, String, APIClient)
    do throws(ClientError) {
      daemon = try context.daemon()
      launcher = try daemon.programs.path(of: "agentsh-launch")
      supervisor = try daemon.programs.path(of: "agentsh-supervisor")
      client = try daemon.connect(
        context.daemonOptions(socket: options.socket, config: options.config, start: true))
    } catch {
      if case .notReachable = error { try Confinement.refuse(context, always: true) }
      throw CommandFailure(error, code: ExitStatus.notWrapped)
    }
    let session = try WrapSession(
      existing: options.session, wanted, startRequest(program, uid: daemon.account.uid), client
    ) { () throws(CommandFailure) in try tryListener(supervisor: supervisor) }
    return Stage(daemon: daemon, launcher: launcher, supervisor: supervisor, session: session)
  }

  private func startRequest(_ program: String, uid: UInt32) -> WrapInitRequest {
    var request = WrapInitRequest(agentCommand: program, agentArgs: Array(options.command.dropFirst()))
    request.callerUID = Int64(uid)
    request.mode = ""
    request.supervise = true
    request.allowDegraded = options.allowDegraded
    if isWithoutFilter() { request.listener = WrapInitRequest.listenerAvailable }
    return request
  }

  private func start(
    _ program: String, _ stage: Stage, _ descriptors: InheritedDescriptors
  ) throws(CommandFailure) -> Int32 {
    let session = stage.session
    let response = session.response
    let handOver = try ListenerHandOver(response, daemon: session.client.peer)
    if response.supervise == true { try becomeSubreaper() }
    let environment = try session.environment(context.environment)
    let request = LaunchRequest(
      program: stage.launcher, command: commandBytes(program, environment), environment: environment,
      descriptors: descriptors, group: response.controlGroup)
    let launched = try request.start()
    if response.supervise == true {
      for sentence in response.degraded ?? [] { Output.note("agentsh: not enforced: \(sentence)") }
      let handIn: FileDescriptor
      do throws(CommandFailure) { handIn = try handOver.handIn() } catch {
        launched.abandon()
        throw error
      }
      let supervising = Supervising(
        program: stage.supervisor, quiet: options.quiet, traces: response.ptraceMode == true,
        runtimeVariable: stage.daemon.runtimeVariable)
      throw supervising.become(launched, handIn: handIn)
    }
    let listener = try launched.listener()
    for sentence in (response.degraded ?? []) + launched.log.degraded {
      Output.note("agentsh: not enforced: \(sentence)")
    }
    let message = HandoffMessage.current(pid: launched.pid, token: handOver.token)
    do throws(CommandFailure) { try handOver.give(message, listener: listener.number) } catch {
      launched.abandon()
      throw error
    }
    // The supervisor has its own copy; with ours open the tree would wait for answers after that one's end.
    closeDescriptor(listener.release())
    return accompany(launched, session, stage.daemon)
  }

  /// Orphans of the agent come to this process, the later supervisor, not to init. It survives execve. `prctl(2)`.
  private func becomeSubreaper() throws(CommandFailure) {
    let result = rawCall(Int(SYS_prctl), Int(PR_SET_CHILD_SUBREAPER), 1)
    guard result >= 0 else {
      throw CommandFailure(code: ExitStatus.notWrapped, "prctl: \(errnoText(Int32(-result)))")
    }
  }

  /// The daemon has the supervisor: we are the agent's parent and nothing more.
  private func accompany(
    _ launched: consuming LaunchedProcess, _ session: WrapSession, _ daemon: Daemon
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
