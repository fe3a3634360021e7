import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// The way to the supervisor that this process's parent has become.
///
/// `agentsh wrap` becomes `agentsh-supervisor` as soon as it has its daemon, and a child goes on as the client: so the
/// supervisor gets ready while the daemon answers. The child becomes the command, whose memory the supervisor may read as
/// its parent (DECISIONS 2). `fork(2)`, `execve(2)`. ADR 53, 54
struct Supervising: ~Copyable {
  private let socket: FileDescriptor

  private init(socket: consuming FileDescriptor) { self.socket = socket }

  /// Returns in the child alone. Throws in the process itself, when there can be no child or no supervisor.
  ///
  /// No other thread may run.
  ///
  /// - Parameters:
  ///   - program: absolute path of our own `agentsh-supervisor`.
  ///   - runtimeVariable: XDG_RUNTIME_DIR; with it a person sees whose daemon a supervisor belongs to.
  static func begin(
    _ program: String, quiet: Bool, runtimeVariable: String?
  ) throws(CommandFailure) -> Supervising {
    let pair = try PacketPair()
    let child = clinux_fork()
    if child == 0 {
      closeDescriptor(pair.theirs.release())
      return Supervising(socket: pair.ours)
    }
    // Ends here, also where this throws: our child notices that nobody is there.
    closeDescriptor(pair.ours.release())
    guard child > 0 else {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "no process can be made: \(errnoText(Int32(-child)))")
    }
    let starter = Starter(pid: Int32(child), socket: pair.theirs.number, tty: openTerminal(), quiet: quiet)
    let result = exec(program, .starter(starter), runtimeVariable)
    throw CommandFailure(
      code: ExitStatus.notWrapped, "\(program) cannot be started: \(errnoText(Int32(-result)))")
  }

  /// Tells where the listener is to be handed in. False when nobody is there any more, who has told the person why.
  func tell(_ handIn: HandIn) -> Bool { send(handIn, []) }

  /// Gives this process, which is about to become the command: it is the supervisor's from now on. False as above.
  func give(socket: Int32, log: borrowing LaunchLog, traces: Bool) throws(CommandFailure) -> Bool {
    let opened = openPidfd(currentProcess())
    guard opened >= 0 else {
      throw CommandFailure(code: ExitStatus.notWrapped, "pidfd_open: \(errnoText(Int32(-opened)))")
    }
    let pidfd = FileDescriptor(owning: Int32(opened))
    return send(
      Started(target: currentProcess(), traces: traces), [socket, pidfd.number, log.number])
  }

  private func send(_ value: some WireCodable, _ descriptors: [Int32]) -> Bool {
    do throws(HandOver.Failure) { try HandOver.send(value.wire, descriptors, on: socket.number) } catch {
      return false
    }
    return true
  }

  /// Returns only when it failed.
  private static func exec(_ program: String, _ command: SupervisorCommand, _ runtimeVariable: String?) -> Int
  {
    // Whatever we inherited or opened ends here; the supervisor gets 0 to 2 and what its arguments name.
    let all = rawCall(Int(SYS_close_range), 3, Int(UInt32.max), 4 /* CLOSE_RANGE_CLOEXEC */)
    guard all >= 0 else { return all }
    for number in command.descriptors {
      let result = rawCall(Int(SYS_fcntl), Int(number), Int(F_SETFD), 0)
      guard result >= 0 else { return result }
    }
    let path = CStringTable([program])
    let words = CStringTable(command.argv)
    // At a crash the runtime would start a helper that reads the crashed process.
    let environment = CStringTable(
      ["SWIFT_BACKTRACE=enable=no"] + (runtimeVariable.map { ["XDG_RUNTIME_DIR=\($0)"] } ?? []))
    // SAFETY: the tables outlive the call; on success nothing of this program is left.
    return unsafe rawCall(
      Int(SYS_execve), kernelAddress(path.pointer.pointee), kernelAddress(words.pointer),
      kernelAddress(environment.pointer))
  }

  /// The controlling terminal, which the agent may open as `/dev/tty` (DECISIONS 23); nil when there is none. `tty(4)`.
  private static func openTerminal() -> Int32? {
    let result = openAt(AT_FDCWD, PathText("/dev/tty"), flags: O_RDWR | O_NOCTTY | O_CLOEXEC)
    return result >= 0 ? Int32(result) : nil
  }
}
