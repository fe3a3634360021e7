import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// The launcher: it confines itself, sends its seccomp listener over its socket, and waits there for the byte 0x01
/// before it becomes the command.
struct LaunchedProcess: ~Copyable {
  let pid: Int32
  let pidfd: FileDescriptor
  /// Our end of the pair.
  let socket: FileDescriptor
  let log: LaunchLog

  /// Waits for the listener. Throws when there is none; the launcher has ended then.
  func listener() throws(CommandFailure) -> FileDescriptor {
    if let listener = HandOver.take(from: socket.number, sender: pidfd.number) { return listener }
    sendSignal(pidfd.number, SIGKILL)
    throw log.failure(status: waitForExit(pid))
  }

  /// Ends the launcher; the command does not run. A sibling is its parent's to wait for.
  func abandon() {
    sendSignal(pidfd.number, SIGKILL)
    _ = waitForExit(pid)
  }
}

/// What the launcher is started with.
struct LaunchRequest {
  /// Absolute path of our own `agentsh-launch`.
  let program: String
  /// The command with its arguments; argv[0] first.
  let command: [[UInt8]]
  var environment: LaunchEnvironment
  let descriptors: InheritedDescriptors
  /// Directory of the control group that the launcher is to be born in, where we may.
  let group: String?
  /// It is to be the supervisor's child, whose child we are, too.
  let isSibling: Bool

  func start() throws(CommandFailure) -> LaunchedProcess {
    let log = try LaunchLog()
    let pair = try PacketPair()
    let child = try spawn(socket: pair.theirs.number, log: log)
    let pidfd = FileDescriptor(owning: child.pidfd)
    closeDescriptor(pair.theirs.release())
    return LaunchedProcess(pid: child.pid, pidfd: pidfd, socket: pair.ours, log: log)
  }

  private func spawn(
    socket: Int32, log: borrowing LaunchLog
  ) throws(CommandFailure) -> (pid: Int32, pidfd: Int32) {
    let layout = DescriptorLayout(kept: descriptors.kept)
    var environment = environment
    environment.set([
      "AGENTSH_NOTIFY_SOCK_FD": String(layout.socket), "AGENTSH_WRAPPER_LOG_FD": String(layout.log),
    ])
    if !descriptors.kept.isEmpty {
      environment.set(["AGENTSH_KEEP_FDS": descriptors.kept.map { String($0) }.joined(separator: ",")])
    }
    let arguments = CStringTable([Array("agentsh-launch".utf8), Array("--".utf8)] + command)
    let variables = CStringTable(environment.entries)
    let path = CStringTable([program])
    let table = layout.table(socket: socket, log: log.number)
    var pidfd: Int32 = -1
    var stage: Int32 = 0
    func spawn(in group: Int32?) -> Int {
      // SAFETY: tables and descriptors outlive the call, which copies nothing and keeps nothing.
      unsafe table.withUnsafeBufferPointer { table in
        var request = unsafe clinux_spawn()
        unsafe request.path = unsafe UnsafePointer(path.pointer.pointee)
        unsafe request.argv = unsafe arguments.pointer
        unsafe request.envp = unsafe variables.pointer
        unsafe request.fds = table.baseAddress
        unsafe request.fd_count = Int32(table.count)
        // As exec would: nohup's SIGHUP stays ignored.
        unsafe request.keep_ignored = UInt.max
        unsafe request.sibling = isSibling ? 1 : 0
        if let group { unsafe (request.in_group, request.group) = (1, group) }
        return unsafe clinux_spawn(&request, &pidfd, &stage)
      }
    }
    var pid = -1
    // Whatever hinders it hinders no start: the daemon moves whom it does not find there.
    if let group = openGroup() { pid = spawn(in: group.number) }
    if pid <= 0 { pid = spawn(in: nil) }
    guard pid > 0 else {
      throw CommandFailure(
        code: ExitStatus.notWrapped, "\(program) cannot be started: \(errnoText(Int32(-pid)))")
    }
    return (Int32(pid), pidfd)
  }

  private func openGroup() -> FileDescriptor? {
    guard let group else { return nil }
    let opened = openAt(AT_FDCWD, PathText(group), flags: O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    return opened >= 0 ? FileDescriptor(owning: Int32(truncatingIfNeeded: opened)) : nil
  }
}

/// Where each descriptor is in the launcher: 0 to 2 and kept ones at their own numbers, ours in the gaps.
package struct DescriptorLayout: Equatable {
  package let kept: [Int32]
  package let socket: Int32
  package let log: Int32

  package init(kept: [Int32]) {
    self.kept = kept
    var free = Int32(3)
    func next() -> Int32 {
      while kept.contains(free) { free += 1 }
      defer { free += 1 }
      return free
    }
    socket = next()
    log = next()
  }

  /// Ours by their numbers in the child; -1 leaves one closed.
  package func table(socket: Int32, log: Int32) -> [Int32] {
    var table = [Int32](repeating: -1, count: Int(max(kept.max() ?? 0, self.log, self.socket)) + 1)
    for number in [0, 1, 2] + kept { table[Int(number)] = number }
    table[Int(self.socket)] = socket
    table[Int(self.log)] = log
    return table
  }
}
