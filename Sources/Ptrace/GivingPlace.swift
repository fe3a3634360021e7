import CLinux
import LinuxSystem

/// How descriptors come to a traced process: over a socket, whose one end it holds high up in its table (CLOEXEC), by a
/// recvmsg that is made in place of the call that is to return them. What is received is written into a page of its own.
///
/// The process can spoil both. It then harms itself: what it receives is what we sent, whatever it does.
/// `unix(7)`, SCM_RIGHTS.
final class GivingPlace {
  /// A call to be made in the process.
  struct Request {
    let call: Int
    let arguments: InlineArray<6, UInt64>
  }
  private enum Step {
    case page, pair, raise, closeFirst, closeSecond
  }

  private let process: Int32
  private let pidfd: FileDescriptor
  private var page: UInt64 = 0
  private var pair: (Int32, Int32) = (-1, -1)
  private var channel: Int32 = -1
  private var ours: Ours?

  /// Our end, which forked processes share with their parent as they share the other.
  private final class Ours {
    let socket: FileDescriptor
    let inode: (UInt, UInt)
    init(_ socket: consuming FileDescriptor, theirs: stat) {
      self.socket = socket
      inode = (UInt(theirs.st_dev), UInt(theirs.st_ino))
    }
  }

  /// nil: the process is gone.
  init?(_ process: Int32) {
    let opened = openPidfd(process)
    guard opened >= 0 else { return nil }
    self.process = process
    pidfd = FileDescriptor(owning: Int32(opened))
  }

  /// For a process that was forked: what its parent has, it has.
  func inherit(_ parent: GivingPlace) {
    (page, pair, channel, ours) = (parent.page, parent.pair, parent.channel, parent.ours)
  }

  // MARK: making it

  /// What has to be made in the process before something can be given to it; nil: nothing.
  func next() -> Request? {
    if ours != nil, !holds() { forgetChannel() }
    guard let step else { return nil }
    return request(step)
  }

  private var step: Step? {
    if page == 0 { return .page }
    if channel < 0 { return pair.0 < 0 ? .pair : .raise }
    if pair.0 >= 0 { return .closeFirst }
    return pair.1 >= 0 ? .closeSecond : nil
  }

  private func request(_ step: Step) -> Request {
    switch step {
    // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    case .page: Request(call: Int(SYS_mmap), arguments: [0, 4096, 3, 0x22, .max, 0])
    // AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC
    case .pair: Request(call: Int(SYS_socketpair), arguments: [1, 0x8_0002, 0, page, 0, 0])
    case .raise:
      Request(
        call: Int(SYS_fcntl), arguments: [UInt64(pair.0), UInt64(F_DUPFD_CLOEXEC), place(), 0, 0, 0])
    case .closeFirst: Request(call: Int(SYS_close), arguments: [UInt64(pair.0), 0, 0, 0, 0, 0])
    case .closeSecond: Request(call: Int(SYS_close), arguments: [UInt64(pair.1), 0, 0, 0, 0, 0])
    }
  }

  /// Takes what the request of `next` came to. Returns the errno that it failed with, else 0.
  func made(_ result: Int64, by thread: Int32) -> Int32 {
    guard let step else { return 0 }
    if result < 0, step == .page || step == .pair { return Int32(truncatingIfNeeded: -result) }
    switch step {
    case .page: page = UInt64(bitPattern: result)
    case .pair: return takePair(thread)
    case .raise:
      // Where there is no room so high, it stays where it is.
      channel = result < 0 ? pair.0 : Int32(truncatingIfNeeded: result)
      if result < 0 { pair.0 = -1 }
    case .closeFirst: pair.0 = -1
    case .closeSecond: pair.1 = -1
    }
    return 0
  }

  private func takePair(_ thread: Int32) -> Int32 {
    var numbers = InlineArray<2, Int32>(repeating: -1)
    // SAFETY: eight bytes of ours, alive across the call.
    let read = unsafe withUnsafeMutablePointer(to: &numbers) {
      readProcessMemory(thread, at: page, into: kernelAddress($0), count: 8)
    }
    guard read == 8, numbers[0] >= 0, numbers[1] >= 0 else { return EACCES }
    let (first, second) = (takeDescriptor(pidfd.number, numbers[0]), takeDescriptor(pidfd.number, numbers[1]))
    let theirs = FileDescriptor(owning: Int32(first))
    let socket = FileDescriptor(owning: Int32(second))
    var information = stat()
    guard first >= 0, second >= 0, statDescriptor(theirs.number, &information) == 0 else { return EACCES }
    pair = (numbers[0], numbers[1])
    ours = Ours(socket, theirs: information)
    return 0
  }

  /// The number from which on the socket is put: near the end of what programs use.
  private func place() -> UInt64 {
    var limit = InlineArray<2, UInt64>(repeating: 0)  // struct rlimit
    // SAFETY: `limit` lives across the call; RLIMIT_NOFILE is 7.
    let result = unsafe withUnsafeMutablePointer(to: &limit) {
      rawCall(Int(SYS_prlimit64), Int(process), 7, 0, kernelAddress($0))
    }
    let room = result == 0 ? limit[0] : 256
    return min(room > 48 ? room - 24 : 0, 1000)
  }

  private func forgetChannel() { (channel, pair, ours) = (-1, (-1, -1), nil) }

  /// Whether the number still names the socket: programs close what they do not know.
  private func holds() -> Bool {
    let number = channel >= 0 ? channel : pair.0
    guard number >= 0, let ours else { return false }
    let taken = takeDescriptor(pidfd.number, number)
    guard taken >= 0 else { return false }
    let theirs = FileDescriptor(owning: Int32(taken))
    var information = stat()
    guard statDescriptor(theirs.number, &information) == 0 else { return false }
    return (UInt(information.st_dev), UInt(information.st_ino)) == ours.inode
  }

  // MARK: giving

  /// Sends the descriptor and says what is to be called for it; nil: it cannot be sent.
  func send(_ descriptor: Int32, to thread: Int32, closeOnExec: Bool) -> Request? {
    guard let ours, channel >= 0 else { return nil }
    var (number, byte): (Int32, UInt8) = (descriptor, 0)
    // struct msghdr, struct iovec, the byte, struct cmsghdr with a descriptor
    var words: InlineArray<15, UInt64> = [
      0, 0, page + 64, 1, page + 96, 24, 0, 0, page + 80, 1, 0, 0, 0, 0, 0,
    ]
    // SAFETY: all live across the calls.
    let written = unsafe withUnsafeMutablePointer(to: &words) {
      writeProcessMemory(thread, at: page, from: kernelAddress($0), count: 120)
    }
    guard written == 0, unsafe clinux_send_fds(ours.socket.number, &byte, 1, &number, 1) == 1 else {
      return nil
    }
    let (dontWait, cloexec): (UInt64, UInt64) = (0x40, 0x4000_0000)
    return Request(
      call: Int(SYS_recvmsg),
      arguments: [UInt64(channel), page, closeOnExec ? dontWait | cloexec : dontWait, 0, 0, 0])
  }

  /// The descriptor's number in the process, or -errno.
  func received(_ result: Int64, by thread: Int32) -> Int64 {
    guard result == 1 else {
      forgetChannel()
      return -Int64(EACCES)
    }
    var words = InlineArray<3, UInt64>(repeating: 0)
    // SAFETY: 24 bytes of ours, alive across the call.
    let read = unsafe withUnsafeMutablePointer(to: &words) {
      readProcessMemory(thread, at: page + 96, into: kernelAddress($0), count: 24)
    }
    guard read == 24 else { return -Int64(EACCES) }
    // No room in the table: it is not there.
    guard words[0] == 20 else { return -Int64(EMFILE) }
    return Int64(Int32(truncatingIfNeeded: words[2]))
  }
}
