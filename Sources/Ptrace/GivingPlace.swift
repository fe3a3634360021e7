import CLinux
import LinuxSystem

/// How descriptors come to a traced process: over a socket, whose one end it holds high up in its table (CLOEXEC), by a
/// recvmsg that is made in place of the call that is to return them. What is received is written into a page of its own.
///
/// The process can spoil both. It then harms itself: what it receives is what we sent to it, whatever it does. A process
/// that was forked has its parent's end too, and could take what the parent is given: so after a fork nothing is sent
/// over that socket any more, and each of the two makes another.
/// `unix(7)`, SCM_RIGHTS.
final class GivingPlace {
  /// A call to be made in the process.
  struct Request {
    let call: Int
    let arguments: InlineArray<6, UInt64>
  }
  private enum Step {
    case page, pair
    case raise(Held)
    case close(Held), closeFirst(Held), closeSecond(Held)
    /// The second's number is the next.
    case closeBoth(Held)
  }

  private let process: Int32
  private let pidfd: FileDescriptor
  private var page: UInt64 = 0
  /// As they were made: the process's end, and ours, which is taken out of its table.
  private var first: Held?
  private var second: Held?
  /// The process's end, once it lies where it stays.
  private var channel: Held?
  private var ours: Ours?
  /// Ends of sockets over which nothing is sent any more.
  private var stale: [Held] = []

  /// Our end.
  private final class Ours {
    let socket: FileDescriptor
    init(_ socket: consuming FileDescriptor) { self.socket = socket }
  }
  /// A number of the process, and the socket that it named when we made it.
  private struct Held: Equatable {
    let number: Int32
    let device: UInt
    let inode: UInt

    /// nil: `descriptor`, a copy, is none.
    init?(_ number: Int32, _ descriptor: borrowing FileDescriptor) {
      var information = stat()
      guard descriptor.number >= 0, statDescriptor(descriptor.number, &information) == 0 else { return nil }
      self.init(number: number, device: UInt(information.st_dev), inode: UInt(information.st_ino))
    }

    private init(number: Int32, device: UInt, inode: UInt) {
      (self.number, self.device, self.inode) = (number, device, inode)
    }

    func at(_ number: Int32) -> Held { Held(number: number, device: device, inode: inode) }
  }

  /// nil: the process is gone.
  init?(_ process: Int32) {
    let opened = openPidfd(process)
    guard opened >= 0 else { return nil }
    self.process = process
    pidfd = FileDescriptor(owning: Int32(opened))
  }

  /// For a process that was forked: its memory is a copy of its parent's, or the same, and its table a copy.
  func inherit(_ parent: GivingPlace) {
    (page, stale) = (parent.page, parent.stale)
  }

  /// Somebody else may hold the process's end: it was forked.
  func retire() {
    stale += [channel, first, second].compactMap(\.self)
    forgetChannel()
  }

  // MARK: making it

  /// What has to be made in the process before something can be given to it; nil: nothing.
  func next() -> Request? {
    if let end = channel ?? first, !holds(end) { forgetChannel() }
    while let held = stale.last, !holds(held) { stale.removeLast() }
    return step.map(request)
  }

  /// Whether nothing has to be made as far as we know: the process may have closed its end.
  var isMade: Bool { step == nil }

  private var step: Step? {
    if let held = stale.last { return .close(held) }
    if page == 0 { return .page }
    guard let first else {
      if channel == nil { return .pair }
      return second.map(Step.closeSecond)
    }
    if channel == nil { return .raise(first) }
    return second?.number == first.number + 1 ? .closeBoth(first) : .closeFirst(first)
  }

  private func request(_ step: Step) -> Request {
    switch step {
    // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    case .page: Request(call: Int(SYS_mmap), arguments: [0, 4096, 3, 0x22, .max, 0])
    // AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC
    case .pair: Request(call: Int(SYS_socketpair), arguments: [1, 0x8_0002, 0, page, 0, 0])
    case .raise(let held):
      Request(
        call: Int(SYS_fcntl), arguments: [UInt64(held.number), UInt64(F_DUPFD_CLOEXEC), place(), 0, 0, 0])
    case .closeBoth(let held):
      Request(
        call: Int(SYS_close_range), arguments: [UInt64(held.number), UInt64(held.number + 1), 0, 0, 0, 0])
    case .close(let held), .closeFirst(let held), .closeSecond(let held):
      Request(call: Int(SYS_close), arguments: [UInt64(held.number), 0, 0, 0, 0, 0])
    }
  }

  /// Takes what the request of `next` came to. Returns the errno that it failed with, else 0.
  func made(_ result: Int64, by thread: Int32) -> Int32 {
    switch step {
    case nil: break
    case .page where result < 0, .pair where result < 0: return Int32(truncatingIfNeeded: -result)
    case .page: page = UInt64(bitPattern: result)
    case .pair: return takePair(thread)
    case .raise(let held):
      // Where there is no room so high, it stays where it is.
      channel = result < 0 ? held : held.at(Int32(truncatingIfNeeded: result))
      if result < 0 { first = nil }
    case .close: stale.removeLast()
    case .closeBoth: (first, second) = (nil, nil)
    case .closeFirst: first = nil
    case .closeSecond: second = nil
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
    let theirs = FileDescriptor(owning: Int32(takeDescriptor(pidfd.number, numbers[0])))
    let socket = FileDescriptor(owning: Int32(takeDescriptor(pidfd.number, numbers[1])))
    guard let end = Held(numbers[0], theirs), let other = Held(numbers[1], socket) else { return EACCES }
    (first, second) = (end, other)
    ours = Ours(socket)
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

  private func forgetChannel() { (channel, first, second, ours) = (nil, nil, nil, nil) }

  /// Whether the number still names the socket: programs close what they do not know.
  private func holds(_ held: Held) -> Bool {
    Held(held.number, FileDescriptor(owning: Int32(takeDescriptor(pidfd.number, held.number)))) == held
  }

  // MARK: giving

  /// Sends the descriptor and says what is to be called for it; nil: it cannot be sent.
  func send(_ descriptor: Int32, to thread: Int32, closeOnExec: Bool) -> Request? {
    guard let ours, let channel else { return nil }
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
      arguments: [UInt64(channel.number), page, closeOnExec ? dontWait | cloexec : dontWait, 0, 0, 0])
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
