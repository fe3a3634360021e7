import AgentshAPI
import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// Gives the listener to the daemon (WRAP-PROTOCOL section 3).
struct ListenerHandOver {
  private static let limitMilliseconds = 30_000
  /// `notify_socket` of the answer.
  let path: String
  /// Who answered the request; the same process must be behind the socket.
  let daemon: UnixSocket.Peer
  let token: [UInt8]

  init(_ response: WrapInitResponse, daemon: UnixSocket.Peer) throws(CommandFailure) {
    guard let path = response.notifySocket, path.hasPrefix("/") else {
      throw Self.failure("the daemon named no socket for the listener")
    }
    guard let token = response.handoffToken.flatMap(bytes(hex:)), token.count == HandoffMessage.tokenSize
    else {
      throw Self.failure("the daemon gave no token for the hand-over")
    }
    self.path = path
    self.daemon = daemon
    self.token = token
  }

  /// Sends the message with the listener, and returns the connection once the daemon has said that it is ready.
  func give(_ message: HandoffMessage, listener: Int32) throws(CommandFailure) -> FileDescriptor {
    let connection: FileDescriptor
    let peer: UnixSocket.Peer
    do throws(SystemCallError) { connection = try UnixSocket.connect(to: path) } catch {
      throw Self.failure("\(path): \(error)")
    }
    do throws(SystemCallError) { peer = try UnixSocket.peer(of: connection) } catch {
      throw Self.failure("\(path): \(error)")
    }
    guard peer == daemon else {
      throw Self.failure(
        "process \(peer.pid) of uid \(peer.uid) listens on \(path), not the daemon (\(daemon.pid))")
    }
    try send(message.bytes, listener, on: connection.number)
    try awaitAcceptance(on: connection.number)
    return connection
  }

  private func send(_ bytes: [UInt8], _ listener: Int32, on socket: Int32) throws(CommandFailure) {
    var descriptor = listener
    // SAFETY: both live across the call.
    let sent = unsafe bytes.withUnsafeBytes { bytes in
      unsafe clinux_send_fds(socket, bytes.baseAddress, bytes.count, &descriptor, 1)
    }
    guard sent == bytes.count else {
      throw Self.failure(sent < 0 ? "sendmsg: \(errnoText(Int32(-sent)))" : "the message was cut")
    }
  }

  private func awaitAcceptance(on socket: Int32) throws(CommandFailure) {
    let deadline = monotonicClock() + UInt64(Self.limitMilliseconds) * 1_000_000
    while true {
      let now = monotonicClock()
      guard now < deadline else { throw Self.failure("the daemon did not take the listener within 30 s") }
      let ready = poll([(socket, Int16(POLLIN))], milliseconds: Int((deadline - now) / 1_000_000) + 1)
      if ready[0] != 0 { break }
    }
    var answer: UInt8 = 0
    // SAFETY: one byte, alive across the call.
    let count = unsafe withUnsafeMutablePointer(to: &answer) { answer in
      retryingInterrupt { rawCall(Int(SYS_read), Int(socket), kernelAddress(answer), 1) }
    }
    guard count == 1 else { throw Self.failure("the daemon closed the connection") }
    guard answer == HandoffMessage.accepted else { throw Self.failure("the daemon refused the listener") }
  }

  private static func failure(_ reason: String) -> CommandFailure {
    CommandFailure(
      code: ExitStatus.notWrapped, "the hand-over to the daemon failed: \(reason)",
      hint: "the daemon's log says more; the command did not run")
  }
}

/// Two digits a byte; nil when it is not that.
package func bytes(hex text: String) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count.isMultiple(of: 2) else { return nil }
  var result: [UInt8] = []
  for index in stride(from: 0, to: digits.count, by: 2) {
    guard let high = Character(UnicodeScalar(digits[index])).hexDigitValue,
      let low = Character(UnicodeScalar(digits[index + 1])).hexDigitValue
    else { return nil }
    result.append(UInt8(high << 4 | low))
  }
  return result
}
