import AgentshAPI
import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// Gives the listener to the daemon (WRAP-PROTOCOL section 3).
struct ListenerHandOver {
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

  /// Sends the message with the listener; returns once the daemon has said that its supervisor is ready.
  func give(_ message: HandoffMessage, listener: Int32) throws(CommandFailure) {
    do throws(HandOver.Failure) {
      let connection = try HandOver.connect(to: path, peer: daemon)
      try HandOver.send(message.bytes, [listener], on: connection.number)
      try HandOver.awaitAcceptance(on: connection.number, HandoffMessage.accepted)
    } catch { throw Self.failure(error.reason) }
  }

  /// For a supervisor that was the client: it hands in for itself.
  var handIn: HandIn { HandIn(path: path, daemonPid: daemon.pid, daemonUID: daemon.uid, token: token) }

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
