import CLinux
import LinuxSystem
import Synchronization

/// `ptrace(2)`: requests, and what becomes of a thread that cannot be asked.
extension Tracer {
  enum Event {
    static let fork: Int32 = 1
    static let vfork: Int32 = 2
    static let clone: Int32 = 3
    static let exec: Int32 = 4
    static let seccomp: Int32 = 7
    static let stop: Int32 = 128
  }
  static let all = 0x4000_0000  // __WALL
  static let seize = 0x4206
  static let interrupt = 0x4207
  static let listen = 0x4208
  static let eventMessage = 0x4201
  static let continueRun = 7
  static let toReturn = 24  // PTRACE_SYSCALL
  /// SYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL
  static let options = 0x10_0000 | 0x9f

  /// One that cannot be asked, told or let go would stay stopped for ever or run on unseen: its process is killed. ESRCH: it
  /// was killed, and its end is about to be heard of.
  func endUnlessGone(_ thread: Int32, _ result: Int) {
    guard result < 0, result != -Int(ESRCH) else { return }
    sendSignal(toPid: known(thread).process, SIGKILL)
  }

  func endAll() { sendSignal(toPid: currentProcess(), SIGKILL) }

  @discardableResult
  func request(_ number: Int, _ thread: Int32, _ data: Int) -> Int {
    let result = rawCall(Int(SYS_ptrace), number, Int(thread), 0, data)
    endUnlessGone(thread, result)
    return result
  }

  func resume(_ thread: Int32, delivering signal: Int32 = 0) {
    request(Self.continueRun, thread, Int(signal))
  }

  func readRegisters(_ thread: Int32) -> Registers? {
    do throws(SystemCallError) { return try Registers(of: thread) } catch {
      endUnlessGone(thread, -Int(error.errno))
      return nil
    }
  }

  func put(_ registers: Registers, into thread: Int32) -> Bool {
    do throws(SystemCallError) {
      try registers.put(into: thread)
      return true
    } catch {
      endUnlessGone(thread, -Int(error.errno))
      return false
    }
  }

  func message(_ thread: Int32) -> Int32? {
    var value = 0
    // SAFETY: the kernel stores one word at `value`, which lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &value) {
      rawCall(Int(SYS_ptrace), Self.eventMessage, Int(thread), 0, kernelAddress($0))
    }
    endUnlessGone(thread, result)
    return result == 0 ? Int32(truncatingIfNeeded: value) : nil
  }

  /// The process of a thread, by its /proc/TID/status.
  func processNumber(_ thread: Int32) -> Int32? {
    guard case .success(let bytes) = readAll("/proc/\(thread)/status", limit: 4096) else { return nil }
    for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "Tgid:\t".utf8) {
      return Int32(String(decoding: line.dropFirst(6), as: UTF8.self))
    }
    return nil
  }
}
