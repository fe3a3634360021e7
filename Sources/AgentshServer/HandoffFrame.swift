import AgentshSession
package import AgentshWire
import CLinux
import LinuxSystem
import Synchronization

/// What came over a hand-off socket. WRAP-PROTOCOL, sections 3 and 4
package enum HandoffFrame: Equatable, Sendable {
  case notify(HandoffMessage)
  /// One byte, with a listener.
  case signal
  /// The pid of a process to be traced: 32 bits, little-endian, no descriptor.
  case ptrace(pid: Int32)

  /// Without a descriptor.
  var comesAlone: Bool {
    switch self {
    case .ptrace, .notify(.prepare): true
    case .notify, .signal: false
    }
  }
}

/// The listener while we hold it, which is as long as the launch lasts. As long as anybody holds one, a call that nobody
/// answers hangs instead of failing, and whoever holds it learns who calls.
package final class ReceivedListener: Sendable {
  private let file: Mutex<FileDescriptor?>
  package let number: Int32

  init(_ file: consuming FileDescriptor) {
    number = file.number
    self.file = Mutex(consume file)
  }

  package func close() {
    file.withLock { file in
      let open = file.take()
      _ = consume open
    }
  }
}

/// What a notify socket is waiting for.
package enum HandoffDue: Sendable {
  case listener
  /// Ptrace mode: the launcher's pidfd.
  case handle
  /// The same, or the pid of an agent that runs already and is to begin again.
  case handleOrPid
}

/// Why a connection is turned away.
package struct Refusal: Error, Equatable, Sendable {
  package let cause: String
  /// It closed without a word: not worth an event.
  static let silent = Refusal("")
  init(_ cause: String) { self.cause = cause }
}

extension HandoffKind {
  /// A message and its descriptor. Whatever else came is closed. `recvmsg(2)`
  func receive(
    _ socket: Int32, _ due: HandoffDue
  ) throws(Refusal) -> (frame: HandoffFrame, listener: ReceivedListener?) {
    var bytes = [UInt8](repeating: 0, count: 64)
    var descriptors = [Int32](repeating: -1, count: 8)
    var count: Int32 = 0
    var truncated: Int32 = 0
    // SAFETY: all four live across the call, with the capacities that it is told.
    let received = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe descriptors.withUnsafeMutableBufferPointer { descriptors in
        unsafe clinux_receive_fds(
          socket, bytes.baseAddress, bytes.count, descriptors.baseAddress, 8, &count, &truncated)
      }
    }
    let held = descriptors.prefix(Int(count)).map { ReceivedListener(FileDescriptor(owning: $0)) }
    if received == 0, held.isEmpty { throw .silent }
    guard received >= 0 else { throw Refusal("it cannot be received: \(errnoText(Int32(-received)))") }
    guard truncated == 0 else { throw Refusal("more descriptors came than are due") }
    let frame = try frame(Array(bytes.prefix(Int(received))), descriptors: held.count, due)
    if frame.comesAlone {
      guard held.isEmpty else { throw Refusal("a descriptor came, none is due") }
      return (frame, nil)
    }
    guard held.count == 1, let listener = held.first else {
      throw Refusal("\(held.count) descriptors came, one is due")
    }
    if due != .listener {
      guard pidfdProcess(listener.number) ?? 0 > 0 else { throw Refusal("the descriptor is not a pidfd") }
      return (frame, listener)
    }
    // A listener has no notification number 0 (ENOENT); anything else does not know the call (ENOTTY).
    guard clinux_notif_id_valid(listener.number, 0) == -Int(ENOENT) else {
      throw Refusal("the descriptor is not a seccomp listener")
    }
    return (frame, listener)
  }

  private func frame(
    _ bytes: [UInt8], descriptors: Int, _ due: HandoffDue
  ) throws(Refusal) -> HandoffFrame {
    switch self {
    case .notify:
      // No message with a listener has four bytes. Named here, because an old client may be told by one socket alone.
      if descriptors == 0, bytes.count == 4 {
        guard due == .handleOrPid else {
          throw Refusal(
            "the pid of a process that runs already came, and it has run untraced: it is not taken over")
        }
        return try Self.process(bytes)
      }
      do throws(WireError) { return .notify(try HandoffMessage(bytes)) } catch {
        throw Refusal("not a hand-off message: \(error)")
      }
    case .signal:
      guard bytes.count == 1 else { throw Refusal("\(bytes.count) bytes came, one is due") }
      return .signal
    case .ptrace:
      guard bytes.count == 4 else { throw Refusal("\(bytes.count) bytes came, the four of a pid are due") }
      return try Self.process(bytes)
    }
  }

  private static func process(_ bytes: [UInt8]) throws(Refusal) -> HandoffFrame {
    var pid: UInt32 = 0
    for (index, byte) in bytes.enumerated() { pid |= UInt32(byte) << (8 * UInt32(index)) }
    guard pid > 0, let number = Int32(exactly: pid) else { throw Refusal("\(pid) is no pid") }
    return .ptrace(pid: number)
  }
}
