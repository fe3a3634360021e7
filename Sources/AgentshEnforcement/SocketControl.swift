import CLinux
import LinuxSystem
package import Seccomp

/// Ancillary data rewritten for the supervisor, which sends in the caller's place: descriptors are duplicates of the
/// caller's, credentials are left out where they are what the kernel adds anyway. Only kinds that are known to name no
/// destination are let through: source routes (IP_RETOPTS, IPV6_RTHDR) are not. `cmsg(3)`.
package struct ControlMessages: ~Copyable {
  package private(set) var bytes: [UInt8] = []
  private var descriptors: [Int32] = []
  /// SCM_MAX_FD.
  private static let descriptorLimit = 253
  private static let headerSize = 16

  package init() {}

  deinit {
    for number in descriptors { closeDescriptor(number) }
  }

  /// Reads one message after the other from `data`, which anybody may have written. Returns 0 or the errno for the call.
  package mutating func translate(
    _ data: [UInt8], _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket
  ) -> Int32 {
    var offset = 0
    while data.count - offset >= Self.headerSize {
      let length = number(data, at: offset, count: 8)
      guard length >= UInt64(Self.headerSize), length <= UInt64(data.count - offset) else { return EINVAL }
      let level = Int32(truncatingIfNeeded: number(data, at: offset + 8, count: 4))
      let type = Int32(truncatingIfNeeded: number(data, at: offset + 12, count: 4))
      let body = data[(offset + Self.headerSize)..<(offset + Int(length))]
      let problem = take(level, type, body, n, socket)
      if problem != 0 { return problem }
      offset += (Int(length) + 7) & ~7
    }
    return 0
  }

  private mutating func take(
    _ level: Int32, _ type: Int32, _ body: ArraySlice<UInt8>, _ n: borrowing PendingNotification,
    _ socket: borrowing CallerSocket
  ) -> Int32 {
    switch (level, type) {
    case (SOL_SOCKET, 1): socket.isUnix ? takeDescriptors(body, socket) : socket.isNetlink ? EINVAL : 0
    case (SOL_SOCKET, 2): socket.isUnix || socket.isNetlink ? takeCredentials(body, n) : 0
    // SO_PRIORITY, SO_MARK, SO_TIMESTAMPING (old and new), SO_TXTIME
    case (SOL_SOCKET, 12), (SOL_SOCKET, 36), (SOL_SOCKET, 37), (SOL_SOCKET, 65), (SOL_SOCKET, 61),
      // IP_TOS, IP_TTL, IP_PKTINFO; UDP_SEGMENT
      (0, 1), (0, 2), (0, 8), (17, 103),
      // IPV6_2292PKTINFO, IPV6_2292HOPLIMIT, IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_DONTFRAG, IPV6_TCLASS
      (41, 2), (41, 8), (41, 50), (41, 52), (41, 62), (41, 67):
      append(level, type, body)
    default:
      EPERM
    }
  }

  private mutating func append(_ level: Int32, _ type: Int32, _ body: some Collection<UInt8>) -> Int32 {
    append(UInt64(Self.headerSize + body.count), count: 8)
    append(UInt64(UInt32(bitPattern: level)), count: 4)
    append(UInt64(UInt32(bitPattern: type)), count: 4)
    bytes.append(contentsOf: body)
    while bytes.count % 8 != 0 { bytes.append(0) }
    return 0
  }

  /// Each number is taken from the caller's table once; what it named then is what is sent.
  private mutating func takeDescriptors(_ body: ArraySlice<UInt8>, _ socket: borrowing CallerSocket) -> Int32
  {
    let data = Array(body)
    guard data.count / 4 + descriptors.count <= Self.descriptorLimit else { return EINVAL }
    var numbers: [UInt8] = []
    for index in 0..<(data.count / 4) {
      let theirs = Int32(truncatingIfNeeded: number(data, at: index * 4, count: 4))
      let taken = takeDescriptor(socket.pidfd.number, theirs)
      guard taken >= 0 else {
        return taken == -Int(EBADF) ? EBADF : taken == -Int(EMFILE) ? ETOOMANYREFS : EACCES
      }
      descriptors.append(Int32(taken))
      for shift in 0..<4 { numbers.append(UInt8(truncatingIfNeeded: taken >> (shift * 8))) }
    }
    return append(SOL_SOCKET, 1, numbers)
  }

  /// The caller's own pid, uid and gid are what the kernel would add by itself; it adds the supervisor's pid instead.
  /// Others' (which a privileged process may send) cannot be sent in its place.
  private func takeCredentials(_ body: ArraySlice<UInt8>, _ n: borrowing PendingNotification) -> Int32 {
    let data = Array(body)
    guard data.count == 12, let status = ThreadStatus(reading: n.thread) else { return EINVAL }
    let pid = Int32(truncatingIfNeeded: number(data, at: 0, count: 4))
    let uid = UInt32(number(data, at: 4, count: 4))
    let gid = UInt32(number(data, at: 8, count: 4))
    return pid == status.process && uid == status.fsUID && gid == status.fsGID ? 0 : EPERM
  }

  private mutating func append(_ value: UInt64, count: Int) {
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) }
  }

  private func number(_ data: [UInt8], at offset: Int, count: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(data[offset + index]) << UInt64(index * 8) }
    return value
  }
}
