/// What a client tells the supervisor that it has become: where the launcher's listener is to be handed in, who must be
/// listening there, and the token of `HandoffMessage`. The token is nobody else's to read, so it is not on the command line.
package struct HandIn: Equatable, Sendable {
  /// Absolute path of the daemon's socket for this launch.
  package let path: String
  /// Of the daemon, as the kernel named it to the client.
  package let daemonPid: Int32
  package let daemonUID: UInt32
  package let token: [UInt8]

  package init(path: String, daemonPid: Int32, daemonUID: UInt32, token: [UInt8]) {
    self.path = path
    self.daemonPid = daemonPid
    self.daemonUID = daemonUID
    self.token = token
  }
}

extension HandIn: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(path)
    writer.value(daemonPid)
    writer.value(daemonUID)
    writer.raw(token.span)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let path = try reader.value(String.self)
    let pid = try reader.value(Int32.self)
    let uid = try reader.value(UInt32.self)
    let token = Array(try reader.raw())
    guard token.count == HandoffMessage.tokenSize else { throw .badValue(offset: 0, what: "token") }
    self.init(path: path, daemonPid: pid, daemonUID: uid, token: token)
  }
}
