package import AgentshPolicy
package import AgentshWire
import CLinux
package import LinuxSystem
import Seccomp
import Synchronization

/// One session's data plane: receives calls, has them mediated, brings the records away, and ends the tree.
///
/// As the client's continuation (`launchSocket`) it is the agent's parent: it tells the launcher to go on, waits,
/// passes stops on and ends with the agent's exit code. Started by a daemon it serves until the tree is gone.
package final class Supervisor: Sendable {
  package enum Failure: Error, Sendable {
    /// The launcher ended before it could be supervised.
    case launcher(LaunchEnd)
    /// The client's other half ended without a launcher, with that exit status. It has said why.
    case starter(status: Int32)
    /// What the client says or leaves is none.
    case start(WireError)
    case handOver(String)
    /// An agent that runs already could not be made to begin again, and was ended.
    case restart(SystemCallError)
    case notListener
    case kernelStructures
    case channel(Channel.Failure)
    case unexpectedFrame(FrameKind)
    case welcome(WireError)
    case policy(PolicyError)
    case frame(Frame.Failure)
    case privileges(SystemCallError)
    case unreadableTarget(errno: Int32)
    /// A call that nothing works without does not get through to the kernel.
    case mechanism(SystemCallError)
    case threads(SystemCallError)
  }

  /// Exit code of wrap and supervisor for failures of their own, as env(1) and timeout(1) have it.
  package static let ownFailure: Int32 = 125

  let arguments: SupervisorArguments
  let listener: Int32
  /// Present in ptrace mode; there are no receivers then.
  let tracing: Tracing?
  /// Of an agent that began again.
  let restart: Restart?
  let welcome: Welcome
  let mediator: Mediator
  let recorder: Recorder
  let sender: EventSender
  let helpers: HelperPool
  let approvals: Approvals
  let receivers: Receivers
  let ending = Atomic<Bool>(false)

  /// Everything up to the point where the launcher may go on. Throws before anything of the agent has run.
  package init(_ arguments: SupervisorArguments, _ entrance: Entrance) throws(Failure) {
    self.arguments = arguments
    listener = entrance.listener
    tracing = entrance.tracing
    restart = entrance.restart
    if tracing == nil { try Self.checkListener(listener) }
    let channel = entrance.channel
    let headStart = entrance.headStart
    welcome = headStart.welcome
    do throws(SystemCallError) {
      try keepCapabilities()
    } catch {
      throw .privileges(error)
    }
    try Self.proveReadable(arguments.target)
    let policy: CompiledPolicy
    do throws(PolicyError) {
      policy = try headStart.policy.get()
    } catch {
      throw .policy(error)
    }
    let processes = ProcessTable(target: arguments.target, tellsDepths: welcome.policy.tellsDepths)
    recorder = Recorder(processes: processes, logAllowed: welcome.policy.logAllowed)
    helpers = HelperPool(listener: listener)
    let arrived = recorder.arrived
    approvals = Approvals(
      listener: listener, helpers: helpers, limit: Int(welcome.approvalLimit),
      seconds: welcome.approvalTimeout
    ) { arrived.wakeOne() }
    mediator = Mediator(
      policy: policy, frame: entrance.frame, recorder: recorder, processes: processes, helpers: helpers,
      tracer: entrance.tracing?.tracer, approvals: approvals, session: welcome.sessionID)
    receivers = Receivers(listener: listener, mediator: mediator, headStart)
    let tree = Tree(
      roots: [currentProcess(), arguments.target], own: currentProcess(), group: arguments.group)
    let target = arguments.target
    let recorder = self.recorder
    sender = EventSender(
      channel: channel, recorder: recorder, approvals: approvals, welcome: welcome, spool: arguments.spool
    ) {
      recorder.lifecycle("the event spool is full: the session ends (on_overflow: kill)")
      sendSignal(toPid: target, SIGKILL)
      tree.signal(SIGKILL)
    }
  }

  private static func checkListener(_ listener: Int32) throws(Failure) {
    guard Listener.isListener(listener) else { throw .notListener }
    let fits: Bool
    do throws(SystemCallError) { fits = try Listener.kernelAgreesOnSizes() } catch { throw .mechanism(error) }
    guard fits else { throw .kernelStructures }
  }

  /// Under Yama only an ancestor or CAP_SYS_PTRACE reads; found out before the agent runs (DECISIONS 2).
  private static func proveReadable(_ target: Int32) throws(Failure) {
    var text = PathText()
    let length = ProcPath(target, "exe").readLink(into: &text)
    if length < 0 { throw .unreadableTarget(errno: Int32(truncatingIfNeeded: -length)) }
  }

  // MARK: running

  /// Starts the threads, says `ready`, lets the launcher go, and stays until the tree is gone. Returns the exit code.
  package func run() -> Int32 {
    do throws(SystemCallError) {
      try startThreads()
    } catch {
      fail("cannot start a thread: \(error)")
      return Self.ownFailure
    }
    let degraded = LaunchLog(arguments.log).degraded
    for sentence in degraded { writeError("agentsh: not enforced: \(sentence)\n") }
    let ready = Ready(
      supervisorPid: mediator.frame.ownPid, targetPid: arguments.target, degraded: degraded)
    if let channel = sender.channel { try? channel.send(frame(.ready, ready)) }
    guard release() else {
      fail("the launcher is gone")
      return Self.ownFailure
    }
    var loop = MainLoop(self)
    let status = loop.run()
    return finish(status, stored: loop.drain(milliseconds: 5000))
  }

  private func startThreads() throws(SystemCallError) {
    blockAllSignals()
    catchQuietly(HelperPool.wakeSignal)
    let mediator = mediator
    let helpers = helpers
    let sender = sender
    helpers.setBody {
      // File-system state of its own: umask and identity are the caller's while this thread acts for it.
      rawCall(Int(SYS_unshare), Int(CLONE_FS))
      var scratch = Scratch(policy: mediator.policy, mayBlock: true)
      setFileCreationMask(scratch.mask)
      while true {
        mediator.handle(helpers.next(&scratch.reply), &scratch)
      }
    }
    if let tracing { tracing.start(mediator) } else { try receivers.start() }
    try NamedThread.start("sender") { sender.run() }
  }

  /// Tells the launcher to go on. True also where that is somebody else's to say.
  private func release() -> Bool {
    guard let socket = arguments.launchSocket ?? restart?.socket else { return true }
    return write(0x01, to: socket)
  }

  private func fail(_ reason: String) { Self.report(reason, arguments, sender.channel) }

  /// For failures before there is a supervisor: tells the daemon, the launcher and the person, and returns the exit code.
  ///
  /// - Parameters:
  ///   - arguments: nil while there is no launcher.
  ///   - entrance: nil while the daemon has accepted nobody.
  package static func report(
    _ failure: Failure, _ arguments: SupervisorArguments?, _ entrance: Entrance?
  ) -> Int32 {
    if case .starter(let status) = failure { return status }
    var channel = entrance?.channel
    if case .given(let number, _) = arguments?.source, channel == nil { channel = Channel(owning: number) }
    if let end = launcherEnd(failure, arguments) {
      if let channel { try? channel.send(frame(.failed, end.message)) }
      writeError("agentsh: \(end.message)\n" + (end.hint.map { "  \($0)\n" } ?? ""))
      return end.code
    }
    report(failure.sentence, arguments, channel)
    return ownFailure
  }

  /// How the launcher ended, where that is the reason: /proc of one that is ending shows no root and no executable.
  private static func launcherEnd(_ failure: Failure, _ arguments: SupervisorArguments?) -> LaunchEnd? {
    if case .launcher(let end) = failure { return end }
    guard let arguments, arguments.launchSocket != nil else { return nil }
    let ended = poll([(arguments.pidfd, Int16(POLLIN))], milliseconds: 100)[0] != 0
    return ended ? Entrance.end(of: arguments) : nil
  }

  private static func report(_ reason: String, _ arguments: SupervisorArguments?, _ channel: Channel?) {
    if let channel { try? channel.send(frame(.failed, reason)) }
    if case .given = arguments?.source { return }
    if let socket = arguments?.launchSocket { _ = write(0x00, to: socket) }
    writeError("agentsh: the agent was not started: \(reason)\n")
  }

  /// Returns `wrap`'s exit code.
  private func finish(_ ended: Int32?, stored: Bool) -> Int32 {
    let denied = recorder.denied
    let finished = Finished(exitCode: ended, denied: denied)
    // A daemon that takes no events takes this no sooner.
    if stored, let channel = sender.channel { try? channel.send(frame(.finished, finished)) }
    let status = ended ?? 0
    guard arguments.launchSocket != nil else { return status }
    let failures = LaunchLog(arguments.log).failures
    for line in failures { writeError("agentsh: \(line)\n") }
    // A launcher that has said why it did not become the command, and not the command's own status.
    let end = failures.last.map {
      LaunchEnd(code: status, signal: nil, lastLine: $0, ownFailure: Self.ownFailure)
    }
    if let hint = end?.hint { writeError("  \(hint)\n") }
    let code = end?.code ?? status
    if let refusal = recorder.refusedStart {
      let message = mediator.policy.message(refusal)
      let rule = mediator.policy.ruleName(refusal)
      let asked = refusal.approval.reason.map { ": \($0)" } ?? ""
      writeError(
        "agentsh: the policy denies this command: rule \(rule)\(message.isEmpty ? "" : ": \(message)")\(asked)\n"
      )
    }
    if sender.hasOverflowed {
      writeError("agentsh: the event spool is full: the session was ended (spool.on_overflow: kill)\n")
    }
    if arguments.quiet { return code }
    if !stored { writeError("agentsh: \(sender.remark)\n") }
    if denied > 0 {
      let what = denied == 1 ? "1 operation" : "\(denied) operations"
      writeError(
        "agentsh: \(what) denied (agentsh events query --session \(welcome.sessionID) --decision deny)\n")
    }
    return code
  }
}

private func write(_ byte: UInt8, to socket: Int32) -> Bool {
  var byte = byte
  // SAFETY: one byte, alive across the call.
  return unsafe rawCall(
    Int(SYS_sendto), Int(socket), kernelAddress(withUnsafePointer(to: &byte) { unsafe $0 }), 1,
    Int(MSG_NOSIGNAL))
    == 1
}

/// One line to the person, when the agent does not run (yet, or any more).
func writeError(_ text: String) {
  let bytes = Array(text.utf8)
  // SAFETY: the bytes live across the call.
  _ = unsafe bytes.withUnsafeBufferPointer {
    rawCall(Int(SYS_write), 2, kernelAddress($0.baseAddress), $0.count)
  }
}
