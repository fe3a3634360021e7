import CLinux
package import LinuxSystem

/// A process that runs already, stopped at whatever it does, and made to call what it is told to, until it becomes another
/// program. Dropped before that, it is killed.
///
/// Other threads of it may run on meanwhile: what they can change is looked at again in the new image, which has one thread
/// and memory of its own. `ptrace(2)`
package struct StoppedProcess: ~Copyable {
  private let process: Int32
  /// Of the process; it stays open for as long as this is used.
  private let pidfd: Int32
  private var mask: UInt64 = 0
  /// Its registers as they were; its next instruction is `syscall` by now.
  private var registers: Registers?

  /// For the process to stop once it was asked to, and for each call that it makes.
  private static let limitNanoseconds: UInt64 = 5_000_000_000
  private static let peekText = 1
  private static let pokeText = 4
  private static let detach = 17
  /// PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL
  private static let options = 0x10_0011
  private static let callStop = SIGTRAP | 0x80

  /// Stops the process, whose first thread must be alive. Throws EPERM where it may not be traced, ESRCH when it is gone,
  /// ETIMEDOUT when it does not stop, ENOEXEC for a program of 32 bits, EIO where its program cannot be changed.
  package static func stop(_ process: Int32, pidfd: Int32) throws(SystemCallError) -> StoppedProcess {
    try check("ptrace", rawCall(Int(SYS_ptrace), Tracer.seize, Int(process), 0, Self.options))
    var stopped = StoppedProcess(process: process, pidfd: pidfd)
    try stopped.prepare()
    return stopped
  }

  private init(process: Int32, pidfd: Int32) {
    self.process = process
    self.pidfd = pidfd
  }

  deinit { sendSignal(pidfd, SIGKILL) }

  private mutating func prepare() throws(SystemCallError) {
    try request(Tracer.interrupt, 0)
    _ = try awaitStop()
    let registers = try Registers(of: process)
    guard registers.isWide else { throw SystemCallError("ptrace", ENOEXEC) }
    mask = try signalMask(of: process)
    try setSignalMask(.max, of: process)
    try plant(registers.place)
    self.registers = registers
  }

  /// Puts the instruction `syscall` at an address. It is not taken away again: the whole program goes.
  private func plant(_ place: UInt64) throws(SystemCallError) {
    var word = 0
    // SAFETY: the kernel stores one word at `word`, which lives across the call.
    let peeked = unsafe withUnsafeMutablePointer(to: &word) {
      rawCall(Int(SYS_ptrace), Self.peekText, Int(process), Int(bitPattern: UInt(place)), kernelAddress($0))
    }
    try check("ptrace", peeked)
    let changed = word & ~0xFFFF | 0x050F
    let poked = rawCall(Int(SYS_ptrace), Self.pokeText, Int(process), Int(bitPattern: UInt(place)), changed)
    try check("ptrace", poked)
  }

  // MARK: calls

  /// Has the process make a call. Returns its result. Throws what the call fails with; ESRCH when the process is gone,
  /// ETIMEDOUT when it does not come back from the call.
  package borrowing func call(
    _ name: StaticName, _ number: Int, _ arguments: InlineArray<6, UInt64>
  ) throws(SystemCallError) -> UInt64 {
    try enter(number, arguments)
    _ = try proceed(until: 0)
    let result = try Registers(of: process).result
    try check(name, (-4095)...(-1) ~= result ? Int(result) : 0)
    return UInt64(bitPattern: result)
  }

  /// Has it call execve(2), and lets it go on as the new program once `isRight` has seen that it is the one that was
  /// meant. The addresses are of its memory. Throws what execve fails with, and EACCES for another program.
  package consuming func execute(
    path: UInt64, arguments: UInt64, environment: UInt64, isRight: () -> Bool
  ) throws(SystemCallError) {
    do throws(SystemCallError) { try become(path, arguments, environment, isRight) } catch {
      _ = consume self
      throw error
    }
    discard self
  }

  private borrowing func become(
    _ path: UInt64, _ arguments: UInt64, _ environment: UInt64, _ isRight: () -> Bool
  ) throws(SystemCallError) {
    try enter(Int(SYS_execve), [path, arguments, environment, 0, 0, 0])
    guard try proceed(until: Tracer.Event.exec) == Tracer.Event.exec else {
      try check("execve", Int(try Registers(of: process).result))
      throw SystemCallError("execve", EIO)
    }
    guard isRight() else { throw SystemCallError("execve", EACCES) }
    // Whoever stopped it before we came did so for us.
    sendSignal(pidfd, SIGCONT)
    try setSignalMask(mask, of: process)
    try request(Self.detach, 0)
  }

  /// To the entry of a call.
  private borrowing func enter(_ number: Int, _ arguments: InlineArray<6, UInt64>) throws(SystemCallError) {
    guard var registers else { throw SystemCallError("ptrace", EIO) }
    // No call that was interrupted is to be made again.
    registers.call = -1
    registers.result = Int64(number)
    registers.arguments = arguments
    try registers.put(into: process)
    _ = try proceed(until: 0)
  }

  /// Until the process is at an entry or end of a call, or there is the event. Returns which. Signals are blocked; a stop of
  /// the whole process, which cannot be, holds up nobody who is traced.
  private borrowing func proceed(until event: Int32) throws(SystemCallError) -> Int32 {
    while true {
      try request(Tracer.toReturn, 0)
      let status = try awaitStop()
      if event != 0, status >> 16 == event { return event }
      if clinux_wstopsig(status) & 0xFF == Self.callStop { return 0 }
    }
  }

  private borrowing func awaitStop() throws(SystemCallError) -> Int32 {
    let deadline = monotonicClock() + Self.limitNanoseconds
    while true {
      var status: Int32 = 0
      let result = waitFor(process, Tracer.all | Int(WNOHANG), &status)
      if result == -Int(EINTR) { continue }
      try check("wait4", result)
      if result == Int(process) {
        guard clinux_wifstopped(status) != 0 else { throw SystemCallError("ptrace", ESRCH) }
        return status
      }
      guard monotonicClock() < deadline else { throw SystemCallError("ptrace", ETIMEDOUT) }
      var pause = timespec(tv_sec: 0, tv_nsec: 50_000)
      // SAFETY: `pause` lives across the call.
      _ = unsafe nanosleep(&pause, nil)
    }
  }

  private borrowing func request(_ number: Int, _ data: Int) throws(SystemCallError) {
    try check("ptrace", rawCall(Int(SYS_ptrace), number, Int(process), 0, data))
  }
}
