import AgentshWire
import CLinux
import LinuxSystem

/// Whole frames from a blocking socket, with a deadline where one is given.
struct FrameReader: ~Copyable {
  enum Failure: Error, CustomStringConvertible {
    case endOfFile
    case late
    case bad(WireError)
    case system(SystemCallError)

    var description: String {
      switch self {
      case .endOfFile: "the connection closed"
      case .late: "nothing came in time"
      case .bad(let error): "bad frame: \(error)"
      case .system(let error): "\(error)"
      }
    }
  }

  private let socket: SharedDescriptor
  /// What a sender only claims to send is not allocated: memory grows as bytes come.
  private static let step = 1 << 18

  init(_ socket: SharedDescriptor) { self.socket = socket }

  /// `deadline`: on the monotonic clock, for the whole frame.
  mutating func next(deadline: UInt64? = nil) throws(Failure) -> (FrameKind, [UInt8]) {
    let head = try read(FrameHeader.size, deadline)
    let header: FrameHeader
    do throws(WireError) { header = try FrameHeader(head) } catch { throw .bad(error) }
    return (header.kind, try read(header.length, deadline))
  }

  private func read(_ count: Int, _ deadline: UInt64?) throws(Failure) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      try wait(deadline)
      let have = bytes.count
      let room = min(count - have, Self.step)
      bytes.append(contentsOf: repeatElement(0, count: room))
      // SAFETY: `room` bytes behind `have` belong to the array.
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        retryingInterrupt {
          rawCall(Int(SYS_read), Int(socket.number), kernelAddress(buffer.baseAddress) + have, room)
        }
      }
      if got == -Int(EAGAIN) {
        bytes.removeLast(room)
        continue
      }
      if got < 0 {
        throw got == -Int(ECONNRESET)
          ? .endOfFile : .system(SystemCallError("read", Int32(truncatingIfNeeded: -got)))
      }
      if got == 0 { throw .endOfFile }
      bytes.removeLast(room - got)
    }
    return bytes
  }

  private func wait(_ deadline: UInt64?) throws(Failure) {
    guard let deadline else { return }
    let now = monotonicClock()
    guard now < deadline else { throw .late }
    if waitForAny([socket.number], milliseconds: Int((deadline - now) / 1_000_000) + 1).isEmpty {
      throw .late
    }
  }
}
