import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// The way to the supervisor that this process's parent has become.
///
/// `agentsh wrap` becomes `agentsh-supervisor` as soon as it has its daemon, and a child goes on as the client: so the
/// supervisor gets ready while the daemon answers. The child becomes the command, whose memory the supervisor may read as
/// its parent (DECISIONS 2). ADR 53, 54
struct Supervising: ~Copyable {
  private let socket: FileDescriptor

  private init(socket: consuming FileDescriptor) { self.socket = socket }

  /// Returns in the child alone. Throws in the process itself, when there can be no child.
  ///
  /// No other thread may run. The child has the memory, the parent nothing but its way into the other program: a copy
  /// (`fork(2)`) costs as much as all that either does in it.
  ///
  /// - Parameters:
  ///   - program: absolute path of our own `agentsh-supervisor`.
  ///   - runtimeVariable: XDG_RUNTIME_DIR; with it a person sees whose daemon a supervisor belongs to.
  static func begin(
    _ program: String, quiet: Bool, runtimeVariable: String?
  ) throws(CommandFailure) -> Supervising {
    let pair = try PacketPair()
    let terminal = openTerminal()
    let command = SupervisorCommand.starter(
      Starter(pid: 0, socket: pair.theirs.number, tty: terminal, quiet: quiet))
    var words = command.argv
    // The child's pid is written there when it has one.
    guard let place = words.firstIndex(of: "--starter").map({ $0 + 1 }) else { preconditionFailure() }
    words[place] = String(repeating: "0", count: Int(CLINUX_PID_DIGITS))
    // At a crash the runtime would start a helper that reads the crashed process.
    let environment =
      ["SWIFT_BACKTRACE=enable=no"] + (runtimeVariable.map { ["XDG_RUNTIME_DIR=\($0)"] } ?? [])
    // Whatever we inherited or opened ends there but 0 to 2 and what the arguments name.
    let kept = command.descriptors
    // SAFETY: nothing of this is ever freed, for the parent reads it when it comes to it; the digits are within their string.
    let becoming = UnsafeMutablePointer<clinux_becoming>.allocate(capacity: 1)
    let keep = UnsafeMutableBufferPointer<Int32>.allocate(capacity: kept.count)
    _ = unsafe keep.initialize(from: kept)
    let argv = unsafe CStringTable(words).release()
    let failure = unsafe CStringTable(["agentsh: \(program) cannot be started: "]).release().pointee
    var request = unsafe clinux_becoming()
    unsafe request.path = unsafe UnsafePointer(CStringTable([program]).release().pointee)
    unsafe request.argv = unsafe argv
    unsafe request.envp = unsafe CStringTable(environment).release()
    unsafe request.pid = unsafe argv[place]
    unsafe request.keep = unsafe UnsafePointer(keep.baseAddress)
    unsafe request.keep_count = Int32(kept.count)
    unsafe request.failure = unsafe UnsafePointer(failure)
    unsafe becoming.initialize(to: request)
    let child = unsafe clinux_become(becoming)
    guard child == 0 else {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "no process can be made: \(errnoText(Int32(-child)))")
    }
    closeDescriptor(pair.theirs.release())
    if let terminal { closeDescriptor(terminal) }
    return Supervising(socket: pair.ours)
  }

  /// Tells where the listener is to be handed in. False when nobody is there any more, who has told the person why.
  func tell(_ handIn: HandIn) -> Bool { send(handIn, []) }

  /// Gives this process, which is about to become the command: it is the supervisor's from now on. False as above.
  func give(socket: Int32, log: borrowing LaunchLog, traces: Bool) throws(CommandFailure) -> Bool {
    let own = currentProcess()
    let opened = openPidfd(own)
    guard opened >= 0 else {
      throw CommandFailure(code: ExitStatus.notWrapped, "pidfd_open: \(errnoText(Int32(-opened)))")
    }
    let pidfd = FileDescriptor(owning: Int32(opened))
    return send(Started(target: own, traces: traces), [socket, pidfd.number, log.number])
  }

  private func send(_ value: some WireCodable, _ descriptors: [Int32]) -> Bool {
    do throws(HandOver.Failure) { try HandOver.send(value.wire, descriptors, on: socket.number) } catch {
      return false
    }
    return true
  }

  /// The controlling terminal, which the agent may open as `/dev/tty` (DECISIONS 23); nil when there is none. `tty(4)`.
  private static func openTerminal() -> Int32? {
    let result = openAt(AT_FDCWD, PathText("/dev/tty"), flags: O_RDWR | O_NOCTTY | O_CLOEXEC)
    return result >= 0 ? Int32(result) : nil
  }
}
