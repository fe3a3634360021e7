import AgentshEnforcement
import CLinux
import LinuxSystem
import Synchronization

/// One message of ancillary data.
private struct Ancillary: Equatable {
  let level: UInt32
  let type: UInt32
  let body: [UInt8]
}

/// Ancillary data divided as the kernel divides it; nil where it would say EINVAL. `cmsg(3)`
private func messages(_ data: [UInt8]) -> [Ancillary]? {
  var result: [Ancillary] = []
  var rest = data[...]
  while rest.count >= 16 {
    var input = Input(Array(rest.prefix(16)))
    let length = input.number(8)
    guard length >= 16, length <= UInt64(rest.count) else { return nil }
    let (level, type) = (UInt32(input.number(4)), UInt32(input.number(4)))
    result.append(
      Ancillary(level: level, type: type, body: Array(rest.dropFirst(16).prefix(Int(length) - 16))))
    rest = rest.dropFirst((Int(length) + 7) & ~7)
  }
  return result
}

/// Two ends of a Unix socket and one of UDP: what a caller may send on.
private final class Sockets: Sendable {
  let unix: Int32
  let datagram: Int32
  static let shared = Sockets()

  private init() {
    unix = Int32(truncatingIfNeeded: makeSocket(AF_UNIX, 2))
    datagram = Int32(truncatingIfNeeded: makeSocket(AF_INET, 2))
  }
}

extension Decoder {
  /// Ancillary data that is rewritten for the supervisor: only kinds that name no destination come through, descriptors
  /// as duplicates of what the caller's numbers name, and none of them stays open.
  static let control = Decoder("control") { (bytes) throws(Broken) in
    let isUnix = (bytes.first ?? 0) & 1 == 0
    let data = Array(bytes.dropFirst())
    let socket = isUnix ? Sockets.shared.unix : Sockets.shared.datagram
    let lowest = lowestFree()
    let result = translate(data, for: socket, isUnix)
    try result.get()
    let after = lowestFree()
    try hold(after == lowest, "descriptor \(lowest) stayed open")
  }
}

/// What comes of `data` in a message to `socket`; all that was open for it is closed when this returns.
private func translate(_ data: [UInt8], for socket: Int32, _ isUnix: Bool) -> Result<Void, Broken> {
  var notification = ownNotification(Int(SYS_sendmsg), [UInt64(UInt32(bitPattern: socket))])
  guard case .taken(let taken) = CallerSocket.take(&notification) else {
    return .failure(Broken("no socket"))
  }
  var control = ControlMessages()
  let errno = control.translate(data, notification, taken)
  do throws(Broken) { return .success(try compare(control.bytes, errno, data, isUnix)) } catch {
    return .failure(error)
  }
}

private func compare(_ sent: [UInt8], _ errno: Int32, _ data: [UInt8], _ isUnix: Bool) throws(Broken) {
  let allowed: Set<[UInt32]> = [
    [1, 12], [1, 36], [1, 37], [1, 65], [1, 61], [0, 1], [0, 2], [0, 8], [17, 103], [41, 2], [41, 8],
    [41, 50],
    [41, 52], [41, 62], [41, 67],
  ]
  guard let translated = messages(sent) else { throw Broken("\(sent) is not ancillary data") }
  for one in translated {
    let isRights = isUnix && one.level == 1 && one.type == 1
    try hold(
      isRights || allowed.contains([one.level, one.type]), "kind \(one.level), \(one.type) came through")
    if isRights {
      try hold(
        one.body.count.isMultiple(of: 4) && one.body.count <= 253 * 4, "\(one.body.count) bytes of rights")
    }
  }
  guard errno == 0 else { return }
  guard let given = messages(data) else { throw Broken("\(data) was taken") }
  // Credentials are left out, and so are rights where they mean nothing; all else is there, in order.
  let others = given.filter { !($0.level == 1 && ($0.type == 1 || $0.type == 2)) }
  let kept = translated.filter { !($0.level == 1 && $0.type == 1) }
  try hold(others == kept, "\(others) became \(kept)")
  if isUnix {
    let rights = given.filter { $0.level == 1 && $0.type == 1 }.map { $0.body.count / 4 * 4 }
    try hold(
      translated.filter { $0.level == 1 && $0.type == 1 }.map(\.body.count) == rights, "rights of \(given)")
  }
}

/// The number that the next descriptor gets.
func lowestFree() -> Int {
  let number = controlDescriptor(0, F_DUPFD_CLOEXEC)
  if number >= 0 { closeDescriptor(Int32(truncatingIfNeeded: number)) }
  return number
}
