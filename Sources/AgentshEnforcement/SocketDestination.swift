import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// Where a connect or a message goes, decided once for both.

/// What is to be done with an address that a caller gave.
enum Destination: ~Copyable {
  /// Permitted: act on the `length` bytes in `scratch.rawOther`. For a Unix path they name the pinned object, which
  /// must live until then.
  case permitted(length: Int, pin: FileDescriptor?, Ruling)
  case denied(errno: Int32, Ruling)
  /// Not for us to refuse: the kernel would fail in this way. With a ruling when it is worth a record.
  case failed(errno: Int32, Ruling?)
  case mustWait
}

/// What the record of a socket call says, beside the name in `scratch.name`.
struct Ruling {
  var kind: EventRecord.Kind
  var operation: SocketOperation
  var decision: Decision
}

extension Mediator {
  /// Decides on the address in `scratch.rawOther`, `length` bytes as the caller wrote them. Leaves what is to be acted
  /// on in their place, and in `scratch.name` what the record calls it.
  func judge(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, _ operation: SocketOperation,
    _ scratch: inout Scratch
  ) -> Destination {
    scratch.name.removeAll()
    scratch.raw.removeAll()
    let length = scratch.rawOther.count
    let sends = operation == .sendto
    let decoded: SocketAddress
    do throws(SocketAddress.Malformed) {
      decoded = try SocketAddress(decoding: scratch.rawOther.span)
    } catch {
      return .failed(errno: EINVAL, nil)
    }
    let kind: EventRecord.Kind = socket.isUnix ? .unixSocket : sends ? .send : .connect
    let mechanism = Ruling(
      kind: kind, operation: operation,
      decision: Decision(.allow, socket.isUnix ? .unixSocket : .network, default: .mechanism))

    switch (socket.domain, decoded) {
    case (AF_UNIX, .unixPath), (AF_UNIX, .unixAbstract):
      return judgeUnix(n, socket, decoded, operation, &scratch)
    case (AF_UNIX, .unspecified) where !sends:
      scratch.name.append("unspecified".utf8)
      return .permitted(length: length, pin: nil, mechanism)
    case (AF_UNIX, _):
      return .failed(errno: EINVAL, nil)
    case (16, .netlink), (16, .unspecified):
      scratch.name.append("netlink".utf8)
      return .permitted(length: length, pin: nil, mechanism)
    case (AF_INET, _), (AF_INET6, _):
      guard socket.isKnownProtocol else { return .denied(errno: EPERM, notUnderstood(kind, operation)) }
      return judgeInternet(socket, decoded, mechanism, &scratch)
    default:
      return .denied(errno: EPERM, notUnderstood(kind, operation))
    }
  }

  private func notUnderstood(_ kind: EventRecord.Kind, _ operation: SocketOperation) -> Ruling {
    Ruling(kind: kind, operation: operation, decision: Decision(.deny, .network, default: .unresolved))
  }

  /// On an IPv4 datagram socket the kernel sends to an AF_UNSPEC address as to an IPv4 one; on an IPv6 one AF_UNSPEC is
  /// no destination at all, and an IPv4 address is one. The any-address is made the loopback address that it stands for,
  /// so that the one decided on is the one used.
  private func judgeInternet(
    _ socket: borrowing CallerSocket, _ decoded: SocketAddress, _ mechanism: Ruling, _ scratch: inout Scratch
  ) -> Destination {
    var address = decoded
    let length = scratch.rawOther.count
    if decoded == .unspecified {
      if mechanism.operation == .sendto, socket.domain == AF_INET {
        guard let inner = SocketAddress.decodingIPv4(scratch.rawOther.span) else {
          return .failed(errno: EINVAL, nil)
        }
        address = inner
      } else {
        scratch.name.append("unspecified".utf8)
        return .permitted(length: length, pin: nil, mechanism)
      }
    }
    if address.isAny {
      address = address.withoutAny
      address.replaceAddress(in: &scratch.rawOther, spare: &scratch.spare)
    }
    let subject: (IPAddress, UInt16)
    switch address {
    case .ipv4(let value, let port): subject = (.v4(value), port)
    case .ipv6(let high, let low, let port):
      guard socket.domain == AF_INET6 else { return .failed(errno: EAFNOSUPPORT, nil) }
      subject = (IPAddress(ipv6High: high, low: low), port)
    default: return .failed(errno: EAFNOSUPPORT, nil)
    }
    address.write(to: &scratch.name)
    var ruling = mechanism
    ruling.decision = settle(
      policy.decideNetwork(address: subject.0, port: subject.1), ruling.operation, socket, &scratch)
    return ruling.decision.permits
      ? .permitted(length: length, pin: nil, ruling) : .denied(errno: EPERM, ruling)
  }

  private func judgeUnix(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, _ address: SocketAddress,
    _ operation: SocketOperation, _ scratch: inout Scratch
  ) -> Destination {
    var ruling = Ruling(
      kind: .unixSocket, operation: operation, decision: Decision(.allow, .unixSocket, default: .unresolved))
    guard case .unixPath(let count) = address else {
      Self.writeAbstract(scratch.rawOther, to: &scratch.name)
      scratch.raw.append(scratch.name)
      ruling.decision = settle(
        scratch.decider.decideSocket(operation, scratch.name), operation, socket, &scratch)
      guard ruling.decision.permits else { return .denied(errno: EACCES, ruling) }
      return .permitted(length: scratch.rawOther.count, pin: nil, ruling)
    }
    Self.writePath(scratch.rawOther, count: count, to: &scratch.raw)
    guard assume(n, &scratch) else {
      scratch.name.removeAll()
      scratch.name.append(scratch.raw)
      ruling.decision = Decision(.deny, .unixSocket, default: .unresolved)
      return .denied(errno: EACCES, ruling)
    }
    switch pin(
      n, directory: -100, raw: scratch.raw, follow: true, name: &scratch.name, mayBlock: scratch.mayBlock)
    {
    case .mustWait: return .mustWait
    case .failed(let errno):
      scratch.name.removeAll()
      scratch.name.append(scratch.raw)
      return .failed(errno: errno, ruling)
    case .object(let pinned):
      ruling.decision = scratch.decider.decideSocket(operation, scratch.name)
      if !scratch.isSettled(ruling.decision) {
        var information = stat()
        let isKnown = statDescriptor(pinned.number, &information) == 0
        ruling.decision = settle(
          ruling.decision, operation, socket, object: isKnown ? information : nil, &scratch)
      }
      guard ruling.decision.permits else { return .denied(errno: EACCES, ruling) }
      let length = Self.writeUnixAddress(ofDescriptor: pinned.number, to: &scratch.rawOther)
      return .permitted(length: length, pin: pinned, ruling)
    }
  }

  /// The path inside a Unix address.
  static func writePath(_ address: PathText, count: Int, to path: inout PathText) {
    path.removeAll()
    for index in 0..<count { path.append(address[SocketAddress.pathOffset + index]) }
  }

  /// `@name`; NULs inside the name are shown as `@` too.
  static func writeAbstract(_ address: PathText, to name: inout PathText) {
    name.removeAll()
    for index in SocketAddress.pathOffset..<max(SocketAddress.pathOffset, address.count) {
      name.append(address[index] == 0 ? UInt8(ascii: "@") : address[index])
    }
  }

  /// An address that leads to what one of our descriptors holds, whatever its name is by now. Returns its length.
  static func writeUnixAddress(ofDescriptor number: Int32, to address: inout PathText) -> Int {
    address.removeAll()
    address.append(UInt8(truncatingIfNeeded: AF_UNIX))
    address.append(0)
    address.append("/proc/self/fd/".utf8)
    appendNumber(number, to: &address)
    return address.count + 1  // with the NUL
  }

  private static func appendNumber(_ number: Int32, to text: inout PathText) {
    if number >= 10 { appendNumber(number / 10, to: &text) }
    text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: max(0, number % 10)))
  }
}
