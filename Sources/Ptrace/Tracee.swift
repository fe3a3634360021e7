import CLinux
package import LinuxSystem

/// A thread that the calling thread traces. Every call on it must come from that same thread.
///
/// Seized with PTRACE_O_EXITKILL: a tracee whose tracer dies is killed, never let go unverified. `ptrace(2)`.
package struct Tracee: ~Copyable {
  /// The id that the thread has now; an exec gives it the process's.
  package private(set) var thread: Int32
  private let process: Int32

  /// What a wait for the tracee came to.
  package enum Stop: Sendable, Equatable {
    /// A new image is in place and has not run an instruction. The argument is the thread's id from now on.
    case exec(Int32)
    /// The stop that `interrupt()` asked for, or one of the whole process (SIGSTOP).
    case interrupted
    /// A signal is about to be delivered.
    case signal(Int32)
    /// The thread is gone.
    case gone
  }

  private static let seize = 0x4206
  private static let interrupt = 0x4207
  private static let continueRun = 7
  private static let detach = 17
  private static let peekUser = 3
  /// PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL.
  private static let options = 0x10 | 0x10_0000
  private static let execEvent: Int32 = 4
  private static let stopEvent: Int32 = 128

  /// Attaches without stopping the thread. Throws ESRCH when it is gone, EPERM when it may not be traced (not
  /// dumpable, traced already, Yama). `process` is the thread group's id.
  package init(seizing thread: Int32, of process: Int32) throws(SystemCallError) {
    self.thread = thread
    self.process = process
    try check("ptrace", rawCall(Int(SYS_ptrace), Self.seize, Int(thread), 0, Self.options))
  }

  /// Has the thread stop when it next returns to its program; a call that it is in is finished first where the kernel
  /// waits for nothing but death in it.
  package borrowing func requestStop() {
    endUnless(rawCall(Int(SYS_ptrace), Self.interrupt, Int(thread), 0, 0))
  }

  /// One that cannot be asked to stop, waited for or let go would stay stopped for ever or run on unseen: its process is
  /// killed. ESRCH says that it is dying already.
  private borrowing func endUnless(_ result: Int) {
    if result < 0, result != -Int(ESRCH), result != -Int(ECHILD) {
      sendSignal(toPid: process, SIGKILL)
    }
  }

  /// Blocks until the tracee stops or is gone. Takes nothing that another wait of ours would want: the end of a child of
  /// ours stays unconsumed.
  package mutating func wait() -> Stop {
    while true {
      var information = WaitInformation()
      let result = information.peek(any: thread != process, thread)
      if result == -Int(EINTR) { continue }
      guard result == 0 else {
        endUnless(result)
        return .gone
      }
      guard information.isStop else { return .gone }
      let status = information.status
      if status == SIGTRAP | Self.execEvent << 8 {
        // A thread that became its process's first has another number now; the kernel takes requests for it only after
        // the stop has been waited for in earnest.
        if thread != information.process { information.takeStop(information.process) }
        thread = information.process
        return .exec(thread)
      }
      if status >> 8 == Self.stopEvent { return .interrupted }
      return .signal(status & 0xff)
    }
  }

  /// Lets a stopped tracee run on, delivering `signal` if it is not 0.
  package borrowing func resume(delivering signal: Int32) {
    endUnless(rawCall(Int(SYS_ptrace), Self.continueRun, Int(thread), 0, Int(signal)))
  }

  /// What a stopped tracee's call has returned (the accumulator). nil when it cannot be read.
  package borrowing func callResult() -> Int? {
    var value = 0
    // SAFETY: the raw call stores one word at `value`, which lives across it.
    let result = unsafe withUnsafeMutablePointer(to: &value) {
      rawCall(Int(SYS_ptrace), Self.peekUser, Int(thread), 10 * 8, kernelAddress($0))
    }
    return result < 0 ? nil : value
  }

  /// Lets a stopped tracee go for good. False: it is dead or dying (`endUnless`), and nobody else hears of its end until
  /// it has been waited for here.
  package borrowing func release() -> Bool {
    let result = rawCall(Int(SYS_ptrace), Self.detach, Int(thread), 0, 0)
    endUnless(result)
    return result == 0
  }

  /// After `gone`, or a SIGKILL: waits for the end and takes the status, so that the kernel hands it on to the parent.
  /// Not to be called for a child of our own process, whose end the main thread waits for.
  package consuming func bury() {
    var information = WaitInformation()
    while information.take(thread) == -Int(EINTR) {}
  }

  /// After a SIGKILL: blocks until the thread is dead, and leaves its status where it is.
  package borrowing func awaitEnd() {
    var information = WaitInformation()
    while information.watch(thread) == -Int(EINTR) {}
  }

  /// Whether the dead thread is still ours: its parent, the main thread, has not taken its status yet.
  package borrowing func lingers() -> Bool {
    var information = WaitInformation()
    return information.look(thread) == 0 && information.process != 0
  }
}

/// `siginfo_t` as `waitid(2)` fills it: numbers at offsets that do not change.
private struct WaitInformation {
  private var words = InlineArray<32, Int32>(repeating: 0)

  private static let noHang = 1
  private static let stopped = 2
  private static let exited = 4
  private static let noWait = 0x0100_0000
  private static let ownThread = 0x2000_0000  // __WNOTHREAD
  private static let all = 0x4000_0000  // __WALL

  /// CLD_STOPPED is 5, CLD_TRAPPED 4.
  var isStop: Bool { words[2] == 4 || words[2] == 5 }
  var process: Int32 { words[4] }
  var status: Int32 { words[6] }

  mutating func peek(any: Bool, _ thread: Int32) -> Int {
    wait(any ? 0 : 1, thread, Self.stopped | Self.exited | Self.noWait)
  }
  mutating func look(_ thread: Int32) -> Int { wait(1, thread, Self.exited | Self.noWait | Self.noHang) }
  mutating func watch(_ thread: Int32) -> Int { wait(1, thread, Self.exited | Self.noWait) }
  mutating func takeStop(_ thread: Int32) { _ = wait(1, thread, Self.stopped | Self.noHang) }
  mutating func take(_ thread: Int32) -> Int { wait(1, thread, Self.exited) }

  private mutating func wait(_ kind: Int, _ thread: Int32, _ options: Int) -> Int {
    // SAFETY: 128 bytes, the size of siginfo_t, alive across the call.
    unsafe withUnsafeMutablePointer(to: &words) {
      rawCall(
        Int(SYS_waitid), kind, Int(thread), kernelAddress($0), options | Self.all | Self.ownThread, 0)
    }
  }
}
