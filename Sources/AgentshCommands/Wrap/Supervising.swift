import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// This process becomes `agentsh-supervisor`: it stays the launcher's parent, and so may read the tree's memory
/// (DECISIONS 2). `execve(2)`.
struct Supervising {
  /// Absolute path of our own `agentsh-supervisor`.
  let program: String
  let quiet: Bool
  /// Ptrace mode.
  let traces: Bool
  /// XDG_RUNTIME_DIR: with it a person sees whose daemon a supervisor belongs to.
  let runtimeVariable: String?

  /// Returns only when it failed; the launcher has been killed then. While it starts, so does the supervisor.
  func become(_ launched: consuming LaunchedProcess, handIn: consuming FileDescriptor) -> CommandFailure {
    var arguments = SupervisorArguments(
      .launcher(socket: launched.socket.number, handIn: handIn.number), target: launched.pid,
      pidfd: launched.pidfd.number)
    arguments.log = launched.log.number
    arguments.quiet = quiet
    arguments.traces = traces
    let terminal = Self.openTerminal()
    arguments.tty = terminal
    let result = exec(arguments)
    if let terminal { closeDescriptor(terminal) }
    launched.abandon()
    return CommandFailure(
      code: ExitStatus.notWrapped, "\(program) cannot be started: \(errnoText(Int32(-result)))")
  }

  private func exec(_ arguments: SupervisorArguments) -> Int {
    // Whatever we inherited or opened ends here; the supervisor gets 0 to 2 and what its arguments name.
    let all = rawCall(Int(SYS_close_range), 3, Int(UInt32.max), 4 /* CLOSE_RANGE_CLOEXEC */)
    guard all >= 0 else { return all }
    for number in arguments.descriptors {
      let result = rawCall(Int(SYS_fcntl), Int(number), Int(F_SETFD), 0)
      guard result >= 0 else { return result }
    }
    let path = CStringTable([program])
    let words = CStringTable(arguments.argv)
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
