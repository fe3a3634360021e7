import AgentshConfig
import CLinux
import LinuxSystem

/// Starts the user's daemon: exactly one, however many clients find none at the same moment.
///
/// A lock lets one of them start it; the others keep trying to connect. The daemon gets a session of its own and no
/// parent among us (the client may become a supervisor, which ends whatever is below it).
struct DaemonStarter {
  let daemon: Daemon
  let locations: Locations
  let config: String?
  private static let limit: UInt64 = 10_000_000_000
  private static let pause: Int = 5

  init(daemon: Daemon, locations: Locations, config: String?) {
    self.daemon = daemon
    self.locations = locations
    self.config = config
  }

  /// A connection to a daemon that has answered.
  func start() throws(ClientError) -> APIClient {
    let deadline = monotonicClock() + Self.limit
    let lock = try openLock()
    while true {
      if let client = try answering() {
        // Somebody else's start won, and theirs has another configuration.
        if config != nil { throw .configurationTooLate(path: locations.socket) }
        return client
      }
      if try take(lock) { break }
      if monotonicClock() > deadline {
        throw failure("another client is starting it and does not come to an end", from: 0)
      }
      sleep(milliseconds: Self.pause)
    }
    // Nobody else starts one now; what was started before us answers already.
    if let client = try answering() {
      if config != nil { throw .configurationTooLate(path: locations.socket) }
      return client
    }
    return try spawnAndWait(deadline: deadline)
  }

  private func answering() throws(ClientError) -> APIClient? {
    do throws(ClientError) {
      let client = try daemon.client(to: locations.socket)
      _ = try client.get("/health")
      return client
    } catch {
      if case .noDaemon = error { return nil }
      throw error
    }
  }

  private func spawnAndWait(deadline: UInt64) throws(ClientError) -> APIClient {
    let log = try openLog()
    let from = fileSize(log.number)
    // The daemon's standard input: end of file once we close, and an error on our end as soon as it dies.
    let input: FileDescriptor
    let life: FileDescriptor
    do throws(SystemCallError) {
      let ends = try pipe()
      input = FileDescriptor(owning: ends.read)
      life = FileDescriptor(owning: ends.write)
    } catch { throw failure("\(error)", from: from) }
    try spawn(input: input.number, log: log.number, from: from)
    closeDescriptor(input.release())
    while true {
      if let client = try answering() { return client }
      if isBroken(life.number, milliseconds: Self.pause) {
        // One that was started by other means has the lock.
        if let client = try answering() { return client }
        throw failure("it ended at once", from: from)
      }
      if monotonicClock() > deadline { throw failure("it does not answer after 10 s", from: from) }
    }
  }

  /// Runs `agentshd` below a process that ends at once, so that it is init's child.
  private func spawn(input: Int32, log: Int32, from: Int64) throws(ClientError) {
    let program = try daemon.programs.path(of: "agentshd")
    let arguments = CStringTable([program, "--on-demand"] + (config.map { ["--config", $0] } ?? []))
    let environment = CStringTable(self.environment)
    let path = CStringTable([program])
    let descriptors = [input, log, log]
    // SAFETY: tables and descriptors outlive the calls; between fork and exit only raw calls are made.
    let child = unsafe descriptors.withUnsafeBufferPointer { descriptors in
      var request = unsafe clinux_spawn()
      unsafe request.path = unsafe UnsafePointer(path.pointer.pointee)
      unsafe request.argv = unsafe arguments.pointer
      unsafe request.envp = unsafe environment.pointer
      unsafe request.fds = descriptors.baseAddress
      unsafe request.fd_count = Int32(descriptors.count)
      unsafe request.new_session = 1
      let pid = clinux_fork()
      if pid == 0 {
        var pidfd: Int32 = -1
        var stage: Int32 = 0
        // Not in a directory that somebody may want to unmount.
        unsafe "/".withCString { _ = rawCall(Int(SYS_chdir), kernelAddress($0)) }
        let result = unsafe clinux_spawn(&request, &pidfd, &stage)
        exitProcess(Int32(result < 0 ? -result : 0))
      }
      return pid
    }
    guard child > 0 else { throw failure("fork: \(errnoText(Int32(-child)))", from: from) }
    let status = waitForExit(Int32(child))
    let code = clinux_wifexited(status) != 0 ? clinux_wexitstatus(status) : EIO
    if code != 0 { throw failure("\(program): \(errnoText(code))", from: from) }
  }

  /// Only what a daemon needs of the client's environment.
  private var environment: [String] {
    var result = ["HOME=\(daemon.account.home)", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]
    if let runtime = daemon.runtimeVariable { result.append("XDG_RUNTIME_DIR=\(runtime)") }
    // At a crash the runtime would start a helper that reads the crashed process.
    result.append("SWIFT_BACKTRACE=enable=no")
    return result
  }
}

extension DaemonStarter {
  private func openLock() throws(ClientError) -> FileDescriptor {
    let path = locations.runtimeDirectory + "/start.lock"
    let result = openAt(
      AT_FDCWD, PathText(path), flags: O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode: 0o600)
    guard result >= 0 else { throw failure("\(path): \(errnoText(Int32(-result)))", from: 0) }
    return FileDescriptor(owning: Int32(result))
  }

  private func take(_ lock: borrowing FileDescriptor) throws(ClientError) -> Bool {
    let result = rawCall(Int(SYS_flock), Int(lock.number), Int(LOCK_EX | LOCK_NB))
    if result == -Int(EWOULDBLOCK) || result == -Int(EINTR) { return false }
    guard result >= 0 else { throw failure("flock: \(errnoText(Int32(-result)))", from: 0) }
    return true
  }

  private func openLog() throws(ClientError) -> FileDescriptor {
    do throws(PrivateDirectoryError) {
      _ = try PrivateDirectory.open(locations.stateDirectory, ownedBy: daemon.account.uid)
    } catch { throw failure("\(error)", from: 0) }
    let flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC
    let result = openAt(AT_FDCWD, PathText(locations.logFile), flags: flags, mode: 0o600)
    guard result >= 0 else { throw failure("\(locations.logFile): \(errnoText(Int32(-result)))", from: 0) }
    let file = FileDescriptor(owning: Int32(result))
    try mark(file.number)
    return file
  }

  /// A log that takes nothing could not say either why the daemon ended; so it is not started.
  private func mark(_ file: Int32) throws(ClientError) {
    let bytes = Array("agentsh: starting the daemon\n".utf8)
    // SAFETY: the kernel reads `bytes` during the call.
    let written = unsafe bytes.withUnsafeBytes { bytes in
      retryingInterrupt {
        rawCall(Int(SYS_write), Int(file), kernelAddress(bytes.baseAddress), bytes.count)
      }
    }
    guard written == bytes.count else {
      let cause = written < 0 ? Int32(-written) : ENOSPC
      throw failure("nothing can be recorded: \(locations.logFile): write: \(errnoText(cause))", from: 0)
    }
  }

  /// With the last lines that were written to the log since it had `from` bytes.
  private func failure(_ reason: String, from: Int64) -> ClientError {
    var lines: [String] = []
    if case .success(let bytes) = readAll(locations.logFile, limit: 64 << 20), bytes.count > Int(from) {
      let text = String(decoding: bytes[Int(from)...], as: UTF8.self)
      lines = text.split(separator: "\n").suffix(8).map(String.init)
    }
    return .notStarted(reason: reason, logFile: locations.logFile, log: lines)
  }
}

private func fileSize(_ descriptor: Int32) -> Int64 {
  Int64(max(0, rawCall(Int(SYS_lseek), Int(descriptor), 0, Int(SEEK_END))))
}

/// `pipe2(2)`, CLOEXEC.
private func pipe() throws(SystemCallError) -> (read: Int32, write: Int32) {
  var ends: [Int32] = [-1, -1]
  // SAFETY: the kernel writes two numbers.
  let result = unsafe ends.withUnsafeMutableBytes {
    rawCall(Int(SYS_pipe2), kernelAddress($0.baseAddress), Int(O_CLOEXEC))
  }
  try check("pipe2", result)
  return (ends[0], ends[1])
}

private func sleep(milliseconds: Int) { _ = poll([], milliseconds: milliseconds) }

/// Whether nobody has the other end of a pipe any more; waits so long for it.
private func isBroken(_ descriptor: Int32, milliseconds: Int) -> Bool {
  poll([(descriptor, 0)], milliseconds: milliseconds).first.map { $0 & Int16(POLLERR | POLLHUP) != 0 }
    ?? false
}
