/// The message that carries the listener from client to daemon (WRAP-PROTOCOL section 3) and what we add to it.
///
///     old        any one byte                                   + exactly one descriptor
///     current    0xA7, pid (32 bits, little-endian)             + exactly one descriptor
///     ours       0xA7, pid, token (16 bytes)                    + exactly one descriptor
///     prepare    0xA9, token (16 bytes)                         no descriptor
///     supervise  0xA8, pid, token (16 bytes)                    + exactly one descriptor
///
/// The last two are of a client that becomes the supervisor of the tree that it is the parent of. They come on one
/// connection, `prepare` first: after its status byte 1 follows the `welcome` frame, so that the policy is compiled while
/// the launcher starts. After `supervise` and the status byte 1 the connection is the supervisor's channel (`Frame`).
package enum HandoffMessage: Equatable, Sendable {
  case old
  case current(pid: Int32, token: [UInt8]?)
  case prepare(token: [UInt8])
  case supervise(pid: Int32, token: [UInt8])

  package static let currentMark: UInt8 = 0xA7
  package static let superviseMark: UInt8 = 0xA8
  package static let prepareMark: UInt8 = 0xA9
  package static let tokenSize = 16
  package static let accepted: UInt8 = 1
  package static let rejected: UInt8 = 0

  package init(_ bytes: [UInt8]) throws(WireError) {
    guard let mark = bytes.first else { throw .truncated(offset: 0, wanted: 1) }
    let isOurs = mark == Self.superviseMark || mark == Self.prepareMark
    guard mark == Self.currentMark || isOurs, bytes.count > 1 else {
      guard bytes.count == 1, !isOurs else { throw .badValue(offset: 0, what: "hand-off mark") }
      self = .old
      return
    }
    if mark == Self.prepareMark {
      guard bytes.count == 1 + Self.tokenSize else {
        throw .truncated(offset: bytes.count, wanted: Self.tokenSize)
      }
      self = .prepare(token: Array(bytes[1...]))
      return
    }
    var reader = WireReader(bytes[1...])
    let pid = try reader.integer(Int32.self)
    guard pid > 0 else { throw .badValue(offset: 1, what: "pid") }
    if reader.remaining == 0, mark == Self.currentMark {
      self = .current(pid: pid, token: nil)
      return
    }
    guard reader.remaining == Self.tokenSize else {
      throw .truncated(offset: bytes.count, wanted: Self.tokenSize)
    }
    let token = Array(bytes[5...])
    self = mark == Self.currentMark ? .current(pid: pid, token: token) : .supervise(pid: pid, token: token)
  }

  package var bytes: [UInt8] {
    var writer = WireWriter()
    switch self {
    case .old: writer.byte(0)
    case .current(let pid, let token):
      writer.byte(Self.currentMark)
      writer.integer(pid)
      for byte in token ?? [] { writer.byte(byte) }
    case .prepare(let token):
      writer.byte(Self.prepareMark)
      for byte in token { writer.byte(byte) }
    case .supervise(let pid, let token):
      writer.byte(Self.superviseMark)
      writer.integer(pid)
      for byte in token { writer.byte(byte) }
    }
    return writer.bytes
  }
}
