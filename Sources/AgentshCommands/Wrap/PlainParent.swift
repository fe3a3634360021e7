import AgentshClient
import CLinux
import LinuxSystem

/// The agent's plain parent, where the daemon has the supervisor: waits, passes stops and terminations on.
struct PlainParent {
  let pid: Int32
  let pidfd: Int32

  /// Lets the launcher go on. `send(2)`.
  static func letGo(_ socket: Int32) -> Bool {
    // Before it can end. It has inherited by now what we were started with.
    keepChildren()
    var byte: UInt8 = 1
    // SAFETY: one byte, alive across the call.
    return unsafe withUnsafeMutablePointer(to: &byte) {
      rawCall(Int(SYS_sendto), Int(socket), kernelAddress($0), 1, Int(MSG_NOSIGNAL))
    } == 1
  }

  /// Waits for the end. Returns the exit code, or 128 + n for signal n.
  ///
  /// No other thread may run that takes signals. `wait4(2)`, `signalfd(2)`.
  func wait() -> Int32 {
    // The terminal sends these to the whole foreground group: they are the agent's to handle.
    ignore(SIGINT)
    ignore(SIGQUIT)
    let signals = SignalQueue([SIGCHLD, SIGTERM, SIGHUP])
    while true {
      if let code = reap() { return code }
      switch signals.next() {
      case SIGTERM: sendSignal(pidfd, SIGTERM)
      case SIGHUP: sendSignal(pidfd, SIGHUP)
      default: break
      }
    }
  }

  /// The exit code when it ended; nil while it lives. When it was stopped, so are we until somebody continues us.
  private func reap() -> Int32? {
    while true {
      var status: Int32 = 0
      let result = waitFor(pid, Int(WNOHANG | WUNTRACED), &status)
      if result == 0 || result == -Int(EINTR) { return nil }
      // Somebody else has reaped it; there is no status to pass on.
      if result < 0 { return ExitStatus.notWrapped }
      if clinux_wifstopped(status) != 0 {
        sendSignal(toPid: currentProcess(), SIGSTOP)
        sendSignal(pidfd, SIGCONT)
        continue
      }
      return clinux_wifsignaled(status) != 0 ? 128 + clinux_wtermsig(status) : clinux_wexitstatus(status)
    }
  }
}

/// Signals as they come, instead of by interruption. Blocks them in the calling thread.
private struct SignalQueue: ~Copyable {
  /// -1 where signalfd is not to be had: then time passes instead.
  private let descriptor: Int32

  init(_ signals: [Int32]) {
    var set = sigset_t()
    // SAFETY: `set` lives across the calls.
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    descriptor = unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC))
  }

  /// Blocks. 0 when it was interrupted.
  func next() -> Int32 {
    var entry = [UInt8](repeating: 0, count: 128)  // struct signalfd_siginfo
    let number = descriptor
    guard number >= 0 else {
      _ = poll([], milliseconds: 50)
      return 0
    }
    // SAFETY: the kernel writes whole entries of 128 bytes.
    let count = unsafe entry.withUnsafeMutableBytes {
      rawCall(Int(SYS_read), Int(number), kernelAddress($0.baseAddress), $0.count)
    }
    return count == entry.count ? Int32(entry[0]) : 0
  }

  deinit { closeDescriptor(descriptor) }
}
