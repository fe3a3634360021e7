import CLinux
package import LinuxSystem
package import Seccomp

/// A message as `sendmsg(2)` describes it, copied once from the caller: addresses and sizes, checked as the kernel
/// checks them. What the addresses lead to is read later, at most once.
package struct MessageHeader {
  package static let size = 56
  /// UIO_MAXIOV.
  package static let rangeLimit = 1024
  /// The longest datagram, and the most of a stream that is copied at once.
  static let payloadLimit = 1 << 20
  /// As much as net.core.optmem_max is on new kernels.
  package static let controlLimit = 128 << 10

  package private(set) var name: UInt64 = 0
  package private(set) var nameLength: Int32 = 0
  package private(set) var control: UInt64 = 0
  package private(set) var controlLength = 0
  package private(set) var ranges: [RemoteRange] = []

  /// How many bytes the message has.
  package var total: Int { ranges.reduce(0) { $0 + $1.count } }

  /// The message that `sendto(2)` sends.
  init(payload: UInt64, count: UInt64, name: UInt64, nameLength: Int32) {
    self.name = name
    self.nameLength = name == 0 ? 0 : nameLength
    if count > 0 { ranges = [RemoteRange(address: payload, count: Int(min(count, Self.longest)))] }
  }

  private init() {}

  /// MAX_RW_COUNT: the kernel cuts what is longer.
  private static let longest = UInt64(0x7fff_f000)

  package enum Failure: Error {
    case errno(Int32)
  }

  /// Reads a `struct msghdr` and its array of pieces.
  package static func read(
    _ n: borrowing PendingNotification, at address: UInt64, _ bytes: inout PathText
  ) throws(Failure) -> MessageHeader {
    let problem = n.readBytes(address, count: size, into: &bytes)
    guard problem == 0 else { throw .errno(problem) }
    var header = MessageHeader()
    header.name = bytes.number(at: 0)
    let length = Int32(truncatingIfNeeded: bytes.number(at: 8))
    if header.name != 0 {
      guard length >= 0 else { throw .errno(EINVAL) }
      header.nameLength = min(length, Int32(SocketAddress.limit))
    }
    let (array, count) = (bytes.number(at: 16), bytes.number(at: 24))
    header.control = bytes.number(at: 32)
    let control = bytes.number(at: 40)
    guard count <= UInt64(rangeLimit) else { throw .errno(EMSGSIZE) }
    guard control <= UInt64(controlLimit) else { throw .errno(ENOBUFS) }
    header.controlLength = Int(control)
    try header.readRanges(n, at: array, count: Int(count), &bytes)
    return header
  }

  private mutating func readRanges(
    _ n: borrowing PendingNotification, at array: UInt64, count: Int, _ bytes: inout PathText
  ) throws(Failure) {
    ranges.reserveCapacity(count)
    var (done, room) = (0, Self.longest)
    while done < count {
      let part = min(count - done, 256)  // 4096 bytes
      let problem = n.readBytes(array &+ UInt64(done * 16), count: part * 16, into: &bytes)
      guard problem == 0 else { throw .errno(problem) }
      for index in 0..<part {
        let (base, length) = (bytes.number(at: index * 16), bytes.number(at: index * 16 + 8))
        guard length <= UInt64(Int64.max) else { throw .errno(EINVAL) }
        let taken = min(length, room)
        room -= taken
        if taken > 0 { ranges.append(RemoteRange(address: base, count: Int(taken))) }
      }
      done += part
    }
  }

  /// Copies at most `limit` bytes of the message from byte `offset` on.
  package func readPayload(
    _ n: borrowing PendingNotification, from offset: Int, limit: Int
  ) -> Result<[UInt8], SystemCallError> {
    var (skip, room) = (offset, limit)
    var wanted: [RemoteRange] = []
    for range in ranges where room > 0 {
      if skip >= range.count {
        skip -= range.count
        continue
      }
      let count = min(range.count - skip, room)
      wanted.append(RemoteRange(address: range.address &+ UInt64(skip), count: count))
      (skip, room) = (0, room - count)
    }
    return readProcessRanges(n.thread, wanted)
  }

  /// Copies the ancillary data.
  package func readControl(_ n: borrowing PendingNotification) -> Result<[UInt8], SystemCallError> {
    guard control != 0 else { return .success([]) }
    return readProcessRanges(n.thread, [RemoteRange(address: control, count: controlLength)])
  }
}

extension PathText {
  /// Eight bytes as a number of this machine. Bytes that are not there are zero.
  func number(at offset: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<8 where offset + index < count {
      value |= UInt64(self[offset + index]) << UInt64(index * 8)
    }
    return value
  }
}
