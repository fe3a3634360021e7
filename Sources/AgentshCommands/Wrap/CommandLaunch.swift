import AgentshClient
import AgentshLauncher
import AgentshWire
import CLinux
import LinuxSystem

/// What a process of ours needs to become the command: it confines itself, sends its seccomp listener over its socket, and
/// waits there for the byte 0x01. ADR 54
struct CommandLaunch {
  let plan: LaunchPlan
  /// The command with its arguments; argv[0] first.
  let command: [[UInt8]]
  let environment: LaunchEnvironment
  let descriptors: InheritedDescriptors

  /// Where that fails, this process ends with the step's status.
  ///
  /// No other thread may run.
  ///
  /// - Parameters:
  ///   - socket: SOCK_SEQPACKET; nobody in this process has the other end.
  ///   - log: where it says why it failed, and what it could not enforce.
  func become(socket: Int32, log: Int32) -> Never {
    let words = CStringTable(command)
    let variables = CStringTable(environment.entries)
    // SAFETY: both tables outlive the call.
    let failure = unsafe Launch(
      plan, socket: socket, kept: descriptors.kept, log: log, command: words.pointer,
      environment: variables.pointer
    ).run()
    withExtendedLifetime(words) { withExtendedLifetime(variables) {} }
    exitProcess(failure.rawValue)
  }

  /// In a child, for a supervisor that the daemon has started.
  func start() throws(CommandFailure) -> LaunchedProcess {
    let log = try LaunchLog()
    let pair = try PacketPair()
    var pidfd: Int32 = -1
    // Where SIGCHLD is ignored a child may be gone before its handle is asked for. As fork(2), in a program with one thread.
    // SAFETY: the kernel writes one number.
    let pid = unsafe withUnsafeMutablePointer(to: &pidfd) {
      rawCall(Int(SYS_clone), Int(CLONE_PIDFD) | Int(SIGCHLD), 0, kernelAddress($0))
    }
    if pid == 0 {
      closeDescriptor(pair.ours.release())
      become(socket: pair.theirs.release(), log: log.release())
    }
    closeDescriptor(pair.theirs.release())
    guard pid > 0 else {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "no process can be made: \(errnoText(Int32(-pid)))")
    }
    return LaunchedProcess(
      pid: Int32(pid), pidfd: FileDescriptor(owning: pidfd), socket: pair.ours, log: log)
  }
}

/// Goes on as another process, born in the control group whose directory that is, in our place. Whatever hinders it hinders
/// no start: the daemon moves whom it does not find there. `clone3(2)`, CLONE_INTO_CGROUP, since Linux 5.7
func beReborn(in group: String) {
  let opened = openAt(AT_FDCWD, PathText(group), flags: O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
  guard opened >= 0 else { return }
  let directory = FileDescriptor(owning: Int32(truncatingIfNeeded: opened))
  _ = clinux_be_reborn(directory.number)
}

/// A child of ours on its way to become the command.
struct LaunchedProcess: ~Copyable {
  let pid: Int32
  let pidfd: FileDescriptor
  /// Our end of the pair.
  let socket: FileDescriptor
  let log: LaunchLog

  /// Waits for the listener. Throws when there is none; the child has ended then.
  func listener() throws(CommandFailure) -> FileDescriptor {
    if let listener = HandOver.take(from: socket.number, sender: pidfd.number) { return listener }
    sendSignal(pidfd.number, SIGKILL)
    throw log.failure(status: waitForExit(pid))
  }

  /// Ends it; the command does not run.
  func abandon() {
    sendSignal(pidfd.number, SIGKILL)
    _ = waitForExit(pid)
  }
}
