import CLinux

/// A descriptor's way to another process, over a Unix socket: the launcher's listener to its parent, and from there to
/// the daemon. `unix(7)`, SCM_RIGHTS.
package enum HandOver {
  /// Why the other side does not have the descriptor.
  package struct Failure: Error, Equatable, Sendable {
    package let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// How long either side may take.
  package static let limitMilliseconds = 30_000

  /// Connects to `path`, where `peer` must be listening.
  package static func connect(to path: String, peer: UnixSocket.Peer) throws(Failure) -> FileDescriptor {
    let connection: FileDescriptor
    do throws(SystemCallError) { connection = try UnixSocket.connect(to: path) } catch {
      throw Failure("\(path): \(error)")
    }
    let found: UnixSocket.Peer
    do throws(SystemCallError) { found = try UnixSocket.peer(of: connection) } catch {
      throw Failure("\(path): \(error)")
    }
    guard found == peer else {
      throw Failure(
        "process \(found.pid) of uid \(found.uid) listens on \(path), not the daemon (\(peer.pid))")
    }
    return connection
  }

  /// Sends the bytes with the descriptors.
  package static func send(_ bytes: [UInt8], _ descriptors: [Int32], on socket: Int32) throws(Failure) {
    // SAFETY: both live across the call.
    let sent = unsafe bytes.withUnsafeBytes { bytes in
      unsafe clinux_send_fds(socket, bytes.baseAddress, bytes.count, descriptors, Int32(descriptors.count))
    }
    guard sent == bytes.count else {
      throw Failure(sent < 0 ? "sendmsg: \(errnoText(Int32(-sent)))" : "the message was cut")
    }
  }

  /// Returns once the byte `accepted` has come back.
  package static func awaitAcceptance(on socket: Int32, _ accepted: UInt8) throws(Failure) {
    if ready([(socket, Int16(POLLIN))]) == nil {
      throw Failure("the daemon did not answer within 30 s")
    }
    var answer: UInt8 = 0
    // SAFETY: one byte, alive across the call.
    let count = unsafe withUnsafeMutablePointer(to: &answer) { answer in
      retryingInterrupt { rawCall(Int(SYS_read), Int(socket), kernelAddress(answer), 1) }
    }
    guard count == 1 else { throw Failure("the daemon closed the connection") }
    guard answer == accepted else { throw Failure("the daemon refused it") }
  }

  /// The one descriptor that comes with the byte 0x00 (CLOEXEC); nil when the sender (`pidfd`) ended, said something
  /// else or was too slow.
  package static func take(from socket: Int32, sender pidfd: Int32) -> FileDescriptor? {
    let events = ready([(socket, Int16(POLLIN)), (pidfd, Int16(POLLIN))])
    // What was sent before the end is still there to be read.
    return (events?[0] ?? 0) & Int16(POLLIN) != 0 ? receive(from: socket) : nil
  }

  /// What happened to the descriptors; nil when nothing did within the limit.
  private static func ready(_ entries: [(descriptor: Int32, events: Int16)]) -> [Int16]? {
    let deadline = monotonicClock() + UInt64(limitMilliseconds) * 1_000_000
    while true {
      let now = monotonicClock()
      if now >= deadline { return nil }
      let events = poll(entries, milliseconds: Int((deadline - now) / 1_000_000) + 1)
      if events.contains(where: { $0 != 0 }) { return events }
    }
  }

  private static func receive(from socket: Int32) -> FileDescriptor? {
    guard let message = receive(from: socket, bytes: 1, descriptors: 1) else { return nil }
    let received = message.descriptors.first.map { FileDescriptor(owning: $0) }
    return message.bytes == [0] ? received : nil
  }

  /// One message's first bytes, and its descriptors (CLOEXEC, the caller's to close); blocks. nil when there is none any
  /// more, or it had more descriptors: then none stays open. `recvmsg(2)`.
  package static func receive(
    from socket: Int32, bytes capacity: Int, descriptors limit: Int
  ) -> (bytes: [UInt8], descriptors: [Int32])? {
    var bytes = [UInt8](repeating: 0, count: capacity)
    var descriptors = [Int32](repeating: -1, count: limit)
    var (count, truncated): (Int32, Int32) = (0, 0)
    let length = retryingInterrupt {
      // SAFETY: all live across the call, and the kernel writes no more than there is room for.
      unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe Int(
          clinux_receive_fds(
            socket, bytes.baseAddress, bytes.count, &descriptors, Int32(limit), &count, &truncated))
      }
    }
    descriptors.removeLast(limit - Int(count))
    guard length > 0, truncated == 0 else {
      for descriptor in descriptors { closeDescriptor(descriptor) }
      return nil
    }
    bytes.removeLast(capacity - length)
    return (bytes, descriptors)
  }
}
