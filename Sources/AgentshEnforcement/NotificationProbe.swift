import CLinux
import LinuxSystem
import Seccomp

/// The whole way of one call, as in a session: a child takes the real filter and hands its listener over; its own child,
/// our grandchild, opens a file that does not exist and gets one that we made.
///
/// A grandchild, because Yama lets a parent read its child but others only by ancestry (DECISIONS 2).
struct NotificationProbe {
  private static let path: StaticString = "/agentsh-detect-no-such-file"
  private static let mark: UInt8 = 0xa5

  static func run() -> [MechanismStatus] {
    var probe = NotificationProbe()
    let problem = probe.attempt()
    let why = problem.map { "not tried: \($0)" } ?? "not tried"
    func status(_ name: String, _ result: Int?, _ call: String, _ good: String) -> MechanismStatus {
      guard let result else { return MechanismStatus(name, false, why) }
      return MechanismStatus(name, result >= 0, result >= 0 ? good : "\(call): \(errnoText(Int32(-result)))")
    }
    return [
      MechanismStatus(
        "seccomp_notify", problem == nil,
        problem ?? "a filter was installed, a call was received and answered"),
      status("read_memory", probe.memory, "process_vm_readv", "a grandchild's memory is readable"),
      status(
        "add_descriptor", probe.added, "SECCOMP_IOCTL_NOTIF_ADDFD", "a descriptor was placed in a grandchild"),
      status("take_descriptor", probe.taken, "pidfd_getfd", "a grandchild's socket was duplicated"),
      status("ptrace", probe.traced, "ptrace", "a grandchild was seized, stopped and let go"),
    ]
  }

  /// nil: not got so far. Negative: -errno.
  private var memory: Int?
  private var added: Int?
  private var taken: Int?
  private var traced: Int?

  /// Returns why a call could not be received and answered; nil when it was.
  private mutating func attempt() -> String? {
    do throws(SystemCallError) {
      guard try Listener.kernelAgreesOnSizes() else {
        return "the kernel has a newer form of seccomp notification"
      }
    } catch { return "no seccomp notification: \(error)" }
    guard let filter = try? FilterProgram(SyscallTable.rules(.files)) else {
      return "the filter does not compile"
    }
    let packets = 5 | Int(O_CLOEXEC)  // SOCK_SEQPACKET
    var ends: (Int32, Int32) = (-1, -1)
    // SAFETY: two descriptors' room, alive across the call.
    let made = unsafe withUnsafeMutablePointer(to: &ends) {
      rawCall(Int(SYS_socketpair), Int(AF_UNIX), packets, 0, kernelAddress($0))
    }
    guard made == 0 else { return "socketpair: \(errnoText(Int32(-made)))" }
    let ours = FileDescriptor(owning: ends.0)
    let theirs = FileDescriptor(owning: ends.1)
    let socket = theirs.number
    let child: ProbeChild
    do { child = try ProbeChild { Self.child(filter, socket) } } catch { return "\(error)" }
    guard ProbeChild.awaitInput(ours.number), let number = Self.receive(ours.number) else {
      let errno = child.finish()
      return errno == 0 ? "no listener arrived" : "the filter was refused: \(errnoText(errno))"
    }
    let listener = Listener(owning: FileDescriptor(owning: number))
    guard ProbeChild.awaitInput(listener.descriptor.number) else {
      child.end()
      return "a listener was made, and nothing could be received on it"
    }
    switch listener.receive() {
    case .notification(let notification): answer(notification, socket)
    default:
      child.end()
      return "a listener was made, and receiving on it failed"
    }
    let result = child.finish()
    if let errno = added, errno < 0 { return nil }
    return result == 0 ? nil : "the answer did not arrive: \(errnoText(result))"
  }

  private mutating func answer(_ notification: consuming PendingNotification, _ socket: Int32) {
    let thread = notification.thread
    memory = Self.readPath(thread, notification.arguments[1])
    let handle = openPidfd(thread)
    if handle >= 0 {
      let pidfd = FileDescriptor(owning: Int32(handle))
      taken = takeDescriptor(pidfd.number, socket)
      if let taken, taken >= 0 { closeDescriptor(Int32(taken)) }
    } else {
      taken = handle
    }
    let seized = rawCall(Int(SYS_ptrace), 0x4206, Int(thread), 0, 0)  // PTRACE_SEIZE
    if seized == 0 { rawCall(Int(SYS_ptrace), 0x4207, Int(thread), 0, 0) }  // PTRACE_INTERRUPT
    let file = Self.markedFile()
    added = file < 0 ? file : -Int(notification.complete(giving: Int32(file), closeOnExec: false))
    traced = seized < 0 ? seized : Self.letGo(thread)
  }

  /// Waits for the stop and detaches.
  private static func letGo(_ thread: Int32) -> Int {
    let anyKind = 0x4000_0000  // __WALL
    var status: Int32 = 0
    for _ in 0..<2000 {
      let done = waitFor(thread, Int(WNOHANG) | anyKind, &status)
      if done == Int(thread) {
        return rawCall(Int(SYS_ptrace), Int(PTRACE_DETACH.rawValue), Int(thread), 0, 0)
      }
      if done < 0, done != -Int(EINTR) { return done }
      pause(milliseconds: 1)
    }
    return -Int(ETIMEDOUT)
  }

  private static func readPath(_ thread: Int32, _ address: UInt64) -> Int {
    var bytes = [UInt8](repeating: 0, count: path.utf8CodeUnitCount)
    let count = bytes.count
    // SAFETY: the buffer has `count` bytes and lives across the call.
    let result = unsafe bytes.withUnsafeMutableBufferPointer {
      readProcessMemory(thread, at: address, into: kernelAddress($0.baseAddress), count: count)
    }
    if result < 0 { return result }
    return String(decoding: bytes, as: UTF8.self) == path.description ? 0 : -Int(EFAULT)
  }

  /// A pipe with the mark in it; its reading end.
  private static func markedFile() -> Int {
    var ends: (Int32, Int32) = (-1, -1)
    var byte = mark
    // SAFETY: two descriptors' room and one byte, alive across the calls.
    let made = unsafe withUnsafeMutablePointer(to: &ends) {
      rawCall(Int(SYS_pipe2), kernelAddress($0), Int(O_CLOEXEC))
    }
    if made < 0 { return made }
    let written = unsafe withUnsafeMutablePointer(to: &byte) {
      rawCall(Int(SYS_write), Int(ends.1), kernelAddress($0), 1)
    }
    closeDescriptor(ends.1)
    if written == 1 { return Int(ends.0) }
    closeDescriptor(ends.0)
    return -Int(EIO)
  }

  private static func receive(_ socket: Int32) -> Int32? {
    var byte: UInt8 = 1
    var number: Int32 = -1
    var count: Int32 = 0
    var truncated: Int32 = 0
    // SAFETY: room for one byte and one descriptor, as the call is told.
    let received = unsafe clinux_receive_fds(socket, &byte, 1, &number, 1, &count, &truncated)
    return received == 1 && count == 1 ? number : nil
  }

  private static func child(_ filter: FilterProgram, _ socket: Int32) -> Int32 {
    do throws(SystemCallError) {
      try check("prctl", rawCall(Int(SYS_prctl), Int(PR_SET_NO_NEW_PRIVS), 1))
      let listener = try filter.installNotifying()
      var byte: UInt8 = 0
      var number = listener.number
      // SAFETY: one byte and one descriptor, alive across the call. This filter does not notify sendmsg.
      try check("sendmsg", unsafe clinux_send_fds(socket, &byte, 1, &number, 1))
    } catch { return error.errno }
    do { return try ProbeChild(grandchild).finish() } catch { return error.errno }
  }

  private static func grandchild() -> Int32 {
    // SAFETY: the literal ends with NUL and is never freed.
    let opened = unsafe rawCall(
      Int(SYS_openat), Int(AT_FDCWD), kernelAddress(path.utf8Start), Int(O_RDONLY), 0)
    if opened < 0 { return Int32(-opened) }
    var byte: UInt8 = 0
    // SAFETY: one byte, alive across the call.
    let count = unsafe withUnsafeMutablePointer(to: &byte) {
      rawCall(Int(SYS_read), opened, kernelAddress($0), 1)
    }
    return count == 1 && byte == mark ? 0 : EIO
  }
}
