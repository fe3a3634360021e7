import AgentshPolicy
import CLinux
import Glibc
import LinuxSystem

extension Decoder {
  /// `struct sockaddr`, as a caller hands it in.
  static let sockaddr = Decoder("sockaddr") { (bytes) throws(Broken) in
    guard let address = try? SocketAddress(decoding: bytes.span) else {
      let family = bytes.count >= 2 ? UInt16(bytes[0]) | UInt16(bytes[1]) << 8 : 0
      let tooLong = bytes.count > (family == 1 ? SocketAddress.unixLimit : SocketAddress.limit)
      let least = family == 2 ? 16 : family == 10 ? 24 : 2
      try hold(tooLong || bytes.count < least, "\(bytes) was refused")
      return
    }
    try hold((2...SocketAddress.limit).contains(bytes.count), "\(bytes.count) bytes were taken")
    switch address {
    case .unixPath(let length):
      try hold(length > 0 && length <= bytes.count - 2, "a path of \(length) in \(bytes)")
      let path = bytes[2..<(2 + length)]
      try hold(!path.contains(0), "a NUL in the path of \(bytes)")
      try hold(2 + length == bytes.count || bytes[2 + length] == 0, "the path of \(bytes) goes on")
    case .unixAbstract(let length): try hold(length == bytes.count - 3 && bytes[2] == 0, "abstract: \(bytes)")
    case .unixUnnamed: try hold(bytes == [1, 0], "unnamed: \(bytes)")
    case .ipv4(let value, let port):
      try hold(number(bytes[4..<8]) == UInt64(value) && number(bytes[2..<4]) == UInt64(port), "\(bytes)")
      try checkText(address, IPAddress.v4(value), port)
    case .ipv6(let high, let low, let port):
      try hold(number(bytes[8..<16]) == high && number(bytes[16..<24]) == low, "\(bytes)")
      try checkText(address, IPAddress(ipv6High: high, low: low), port)
    case .unspecified, .netlink, .other: break
    }
    try checkLoopback(address, bytes)
  }

  /// Addresses and ranges as text: what is accepted is what inet_pton(3) accepts, and is written as inet_ntop(3) does.
  static let address = Decoder("address") { (bytes) throws(Broken) in
    let text = String(decoding: bytes, as: UTF8.self)
    let ours = IPAddress(parsing: text)
    try hold(
      ours == libcAddress(bytes),
      "\(text) is \(String(describing: ours)) and \(String(describing: libcAddress(bytes)))")
    if let ours {
      try hold(IPAddress(parsing: ours.description) == ours, "\(text) is written as \(ours)")
    }
    guard let range = AddressRange(parsing: text) else { return }
    try hold(range.contains(range.base), "\(text) does not contain its own address \(range.base)")
    let longest: UInt8 = if case .v4 = range.base { 32 } else { 128 }
    try hold(range.bits <= longest, "\(text) has \(range.bits) bits")
    try hold(
      AddressRange(parsing: "\(range.base)/\(range.bits)") == range, "\(text) is written as \(range)")
  }
}

/// Big-endian.
private func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

/// The text of the record, against the one that the policy's own reader understands.
private func checkText(_ address: SocketAddress, _ value: IPAddress, _ port: UInt16) throws(Broken) {
  var text = PathText()
  address.write(to: &text)
  let expected: String = if case .v4 = value { "\(value):\(port)" } else { "[\(value)]:\(port)" }
  try hold(text.text == expected, "\(address) is recorded as \(text.text), not \(expected)")
}

/// What replaces the any-address is no any-address, leaves all other bytes alone and is read as itself.
private func checkLoopback(_ address: SocketAddress, _ bytes: [UInt8]) throws(Broken) {
  let replaced = address.withoutAny
  try hold(!replaced.isAny && (address.isAny || replaced == address), "\(address) becomes \(replaced)")
  var text = PathText(bytes)
  var spare = PathText()
  replaced.replaceAddress(in: &text, spare: &spare)
  try hold((try? SocketAddress(decoding: text.span)) == replaced, "\(bytes) becomes \(Array(text.bytes))")
  if replaced == address { try hold(Array(text.bytes) == bytes, "\(bytes) becomes \(Array(text.bytes))") }
}

/// inet_pton(3), for both families; an address that maps IPv4 is an IPv4 one.
private func libcAddress(_ bytes: [UInt8]) -> IPAddress? {
  guard !bytes.contains(0), bytes.count < 64 else { return nil }
  var buffer = [UInt8](repeating: 0, count: 16)
  let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
  if inet_pton(AF_INET, terminated, &buffer) == 1 { return .v4(UInt32(number(buffer[..<4]))) }
  guard inet_pton(AF_INET6, terminated, &buffer) == 1 else { return nil }
  return IPAddress(ipv6High: number(buffer[..<8]), low: number(buffer[8...]))
}
