import CLinux
import LinuxSystem

/// A child that does something irrevocable and says how far it got. `fork(2)`, so for programs without threads only.
struct ProbeChild: ~Copyable {
  private static let patience: Int32 = 3000  // milliseconds
  let pid: Int32

  /// The body's errno becomes the exit status; 0 is success. The child leads a process group of its own.
  init(_ body: () -> Int32) throws(SystemCallError) {
    let pid = clinux_fork()
    if pid == 0 {
      rawCall(Int(SYS_setpgid), 0, 0)
      rawCall(Int(SYS_prctl), Int(PR_SET_PDEATHSIG), Int(SIGKILL))
      exitProcess(body())
    }
    self.pid = Int32(truncatingIfNeeded: try check("fork", pid))
    rawCall(Int(SYS_setpgid), pid, 0)
  }

  /// Waits for its end, and ends it (and its group) when it hangs. Returns its errno, ETIMEDOUT, or ECANCELED when a
  /// signal ended it. `wait4(2)`
  consuming func finish() -> Int32 {
    var status: Int32 = 0
    let deadline = monotonicClock() + UInt64(Self.patience) * 1_000_000
    while true {
      let done = waitFor(pid, Int(WNOHANG), &status)
      if done == Int(pid) { break }
      if done < 0, done != -Int(EINTR) { return Int32(-done) }
      if monotonicClock() > deadline {
        end()
        return ETIMEDOUT
      }
      pause(milliseconds: 1)
    }
    return clinux_wifexited(status) != 0 ? clinux_wexitstatus(status) : ECANCELED
  }

  /// Kills the group and reaps the child.
  borrowing func end() {
    rawCall(Int(SYS_kill), Int(-pid), Int(SIGKILL))
    rawCall(Int(SYS_kill), Int(pid), Int(SIGKILL))
    var status: Int32 = 0
    _ = retryingInterrupt { waitFor(pid, 0, &status) }
  }

  /// Whether the descriptor becomes readable in time. `poll(2)`
  static func awaitInput(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    // SAFETY: one entry, alive across the call.
    return unsafe poll(&entry, 1, patience) > 0 && entry.revents & Int16(POLLIN) != 0
  }
}

/// `poll(2)` on nothing.
func pause(milliseconds: Int) { rawCall(Int(SYS_poll), 0, 0, milliseconds) }
