package import AgentshWire
import CLinux
import LinuxSystem

/// What a supervisor does before it knows of its launcher: the channel to the daemon, the welcome on it, the policy.
package struct Approach: Sendable {
  let channel: Channel
  let restart: Restart?
  private let command: SupervisorCommand
  /// Present where the client became the supervisor.
  private let handingIn: HandingIn?
  private let beginning: Errand<Result<HeadStart, Supervisor.Failure>>

  /// Throws before anything of the agent has run.
  package init(_ command: SupervisorCommand) throws(Supervisor.Failure) {
    self.command = command
    keepChildren()
    keepFreedMemory()
    rawCall(Int(SYS_prctl), Int(PR_SET_DUMPABLE), 0)
    // Orphans of the agent come to us, not to init.
    rawCall(Int(SYS_prctl), Int(PR_SET_CHILD_SUBREAPER), 1)
    switch command {
    case .given(let arguments):
      guard case .given(let number, _) = arguments.source else {
        throw .start(.badValue(offset: 0, what: "channel"))
      }
      channel = Channel(owning: number)
      handingIn = nil
      // Before it is looked at: what cannot be seen of it is seen of its launcher.
      restart = try arguments.restart.map { (file) throws(Supervisor.Failure) in
        try Self.restart(arguments, file)
      }
    case .starter(let starter):
      let handingIn = try HandingIn(starter.handIn())
      (channel, self.handingIn, restart) = (handingIn.channel, handingIn, nil)
    }
    let (channel, handingIn) = (channel, handingIn)
    // On a thread with rights that we give up afterwards: nothing else runs on it.
    beginning = Errand("head-start") { () -> Result<HeadStart, Supervisor.Failure> in
      do throws(Supervisor.Failure) {
        try handingIn?.awaitAcceptance()
        return .success(try HeadStart(channel))
      } catch { return .failure(error) }
    }
  }

  /// Whom to supervise. Blocks until the launcher runs.
  package func arguments() throws(Supervisor.Failure) -> SupervisorArguments {
    switch command {
    case .given(let arguments): arguments
    case .starter(let starter): try starter.arguments()
    }
  }

  /// Returns once the daemon has what was handed in. Before that the launcher must not go on.
  package func awaitAcceptance() throws(Supervisor.Failure) { try handingIn?.awaitAcceptance() }

  /// Hands the launcher's listener in, or its pidfd; `awaitAcceptance` is due then.
  func handIn(_ descriptor: Int32, of target: Int32) throws(Supervisor.Failure) {
    guard let handingIn else { throw .handOver("it was not begun") }
    try handingIn.give(descriptor, of: target)
  }

  func headStart() throws(Supervisor.Failure) -> HeadStart { try beginning.outcome().get() }

  /// Has the target begin again, and waits until its launcher has said that it is ready to be traced.
  private static func restart(_ arguments: SupervisorArguments, _ file: Int32) throws(Supervisor.Failure)
    -> Restart
  {
    let plan: RestartPlan = try read(file)
    let restart: Restart
    do throws(SystemCallError) {
      restart = try Restart(plan, target: arguments.target, pidfd: arguments.pidfd)
    } catch { throw .restart(error) }
    guard HandOver.take(from: restart.socket, sender: arguments.pidfd) != nil else {
      sendSignal(arguments.pidfd, SIGKILL)
      throw .launcher(
        LaunchEnd(
          code: Supervisor.ownFailure, signal: nil, lastLine: LaunchLog(restart.log).lines.last,
          ownFailure: Supervisor.ownFailure))
    }
    return restart
  }

  private static func read<Plan: WireCodable>(_ file: Int32) throws(Supervisor.Failure) -> Plan {
    defer { closeDescriptor(file) }
    do throws(WireError) {
      // An agent's arguments may be long.
      guard case .success(let bytes) = readAll(file, limit: WireReader.lengthLimit) else {
        throw .truncated(offset: 0, wanted: 1)
      }
      return try Plan(wire: bytes)
    } catch { throw .start(error) }
  }
}

extension Starter {
  /// A path and a token.
  private static let messageLimit = 4096

  /// Where the listener is to be handed in. Blocks until the daemon has answered.
  func handIn() throws(Supervisor.Failure) -> HandIn { try take(descriptors: 0).0 }

  /// Whom to supervise: all that there is to be told. Blocks until the launcher runs.
  func arguments() throws(Supervisor.Failure) -> SupervisorArguments {
    defer { closeDescriptor(socket) }
    let (started, descriptors): (Started, [Int32]) = try take(descriptors: Started.descriptorCount)
    guard let arguments = SupervisorArguments(self, started, descriptors) else {
      throw .start(.truncated(offset: 0, wanted: Started.descriptorCount - descriptors.count))
    }
    return arguments
  }

  private func take<Value: WireCodable>(descriptors limit: Int) throws(Supervisor.Failure) -> (Value, [Int32])
  {
    guard let message = HandOver.receive(from: socket, bytes: Self.messageLimit, descriptors: limit) else {
      throw .starter(status: exitStatus())
    }
    do throws(WireError) { return (try Value(wire: message.bytes), message.descriptors) } catch {
      throw .start(error)
    }
  }

  /// As a shell says it. It has started nothing: that is no success, whatever it says, and whoever took its status.
  private func exitStatus() -> Int32 {
    var status: Int32 = 0
    guard retryingInterrupt({ waitFor(pid, 0, &status) }) == Int(pid) else { return Supervisor.ownFailure }
    if clinux_wifsignaled(status) != 0 { return 128 + clinux_wtermsig(status) }
    let code = clinux_wexitstatus(status)
    return code == 0 ? Supervisor.ownFailure : code
  }
}
