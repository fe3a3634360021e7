import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// bind(2). Rules on networks speak of destinations, so a bind to an IP address is carried out and recorded; one to a
// Unix name is decided: an abstract name by the socket rules, a path by the socket rules (bind) *and* by the file rules
// (create), because it makes a node.
//
// The race on a path, and why it is closed. The kernel keeps the string that bind was given and shows it to others
// (getsockname, /proc/net/unix), so it must be the caller's own; but the kernel resolves that string again. A name
// without a slash is bound from the pinned parent as working directory: nothing is resolved. Any other is bound by a
// thread made for it, at the caller's cwd, that has confined itself (Landlock) to making sockets below the pinned parent:
// whatever is swapped on the way, no node comes to be elsewhere. Afterwards the string and the pinned parent must show
// the same socket; else the call is denied. Without Landlock such a bind is denied.

extension Mediator {
  func bind(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let problem = readAddress(n, at: n.argument[1], length: n.int(2), &scratch)
    guard problem == 0 else {
      answerUnread(n, problem, &scratch, started)
      return
    }
    scratch.name.removeAll()
    scratch.raw.removeAll()
    let decoded: SocketAddress
    do throws(SocketAddress.Malformed) {
      decoded = try SocketAddress(decoding: scratch.rawOther.span)
    } catch {
      n.fail(EINVAL)
      return
    }
    switch (socket.domain, decoded) {
    case (AF_UNIX, .unixPath(let count)):
      guard scratch.mayBlock else {
        handOver(n)
        return
      }
      Self.writePath(scratch.rawOther, count: count, to: &scratch.raw)
      bindPath(n, socket, &scratch, started)
    case (AF_UNIX, .unixAbstract):
      Self.writeAbstract(scratch.rawOther, to: &scratch.name)
      scratch.raw.append(scratch.name)
      let decision = settle(
        scratch.decider.decideSocket(.bind, scratch.name), .bind, socket, &scratch)
      bind(n, socket, decision, &scratch, started)
    case (AF_UNIX, .unixUnnamed):
      bind(n, socket, Decision(.allow, .unixSocket, default: .mechanism), &scratch, started)
    case (AF_UNIX, _):
      n.fail(EINVAL)
    case (AF_INET, _), (AF_INET6, _):
      bindInternet(n, socket, decoded, &scratch, started)
    case (16, _):
      scratch.name.append("netlink".utf8)
      bind(n, socket, Decision(.allow, .network, default: .mechanism), &scratch, started)
    default:
      bind(n, socket, Decision(.deny, .network, default: .unresolved), &scratch, started)
    }
  }

  private func bindInternet(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ address: SocketAddress,
    _ scratch: inout Scratch, _ started: UInt64
  ) {
    var shown = address
    if address == .unspecified, let inner = SocketAddress.decodingIPv4(scratch.rawOther.span) {
      shown = inner
    }
    shown.write(to: &scratch.name)
    guard socket.isKnownProtocol else {
      bind(n, socket, Decision(.deny, .network, default: .unresolved), &scratch, started)
      return
    }
    guard mayUsePort(n, shown) else {
      let ruling = Ruling(
        kind: .bind, operation: .bind, decision: Decision(.allow, .network, default: .mechanism))
      answer(n, errno: EACCES, ruling, scratch, started)
      return
    }
    bind(n, socket, Decision(.allow, .network, default: .mechanism), &scratch, started)
  }

  /// In a root's session a process that is not root any more may not use the supervisor's right to low ports.
  private func mayUsePort(_ n: borrowing PendingNotification, _ address: SocketAddress) -> Bool {
    guard frame.ownerUID == 0, identitiesVary.load(ordering: .sequentiallyConsistent) else { return true }
    let number: UInt16
    switch address {
    case .ipv4(_, let port), .ipv6(_, _, let port): number = port
    default: return true
    }
    if number == 0 || number >= 1024 { return true }
    return ThreadStatus(reading: n.thread)?.effectiveUID == 0
  }

  /// Binds as decided, with the bytes that were decided on.
  private func bind(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ decision: Decision,
    _ scratch: inout Scratch, _ started: UInt64
  ) {
    let ruling = Ruling(kind: socket.isUnix ? .unixSocket : .bind, operation: .bind, decision: decision)
    guard decision.permits else {
      answer(n, errno: socket.isUnix ? EACCES : EPERM, ruling, scratch, started)
      return
    }
    guard n.isAlive() else { return }
    let result = bindSocket(socket.number, scratch.rawOther, length: scratch.rawOther.count)
    answer(n, socket, result: result, ruling, scratch, started)
  }

  private func bindPath(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    var ruling = Ruling(
      kind: .unixSocket, operation: .bind, decision: Decision(.deny, .unixSocket, default: .unresolved))
    guard assume(n, &scratch), separateFileSystemState() == 0, assumeMask(n, &scratch) else {
      answer(n, errno: EACCES, ruling, scratch, started)
      return
    }
    switch place(n, directory: -100, raw: scratch.raw, name: &scratch.name, mayBlock: true) {
    case .mustWait: handOver(n)
    case .failed(let errno):
      ruling.decision = Decision(.allow, .unixSocket, default: .unresolved)
      scratch.name.removeAll()
      scratch.name.append(scratch.raw)
      answer(n, errno: errno, ruling, scratch, started)
    case .parent(let parent, let leafStart):
      ruling.decision = settle(scratch.decider.decideBind(scratch.name), .bind, socket, &scratch)
      guard ruling.decision.permits else {
        answer(n, errno: EACCES, ruling, scratch, started)
        return
      }
      var leaf = PathText()
      leaf.append(scratch.name, from: leafStart)
      guard n.isAlive() else { return }
      let result = bind(n, socket, at: parent, leaf, scratch)
      answer(n, socket, result: result, ruling, scratch, started)
    }
  }

  private func bind(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, at parent: borrowing FileDescriptor,
    _ leaf: PathText, _ scratch: borrowing Scratch
  ) -> Int {
    // From a root of the caller's own its path leads elsewhere for us: then the socket is called by its last name alone.
    let hasOwnRoot = hasOwnRoot(n.thread)
    if scratch.raw == leaf || hasOwnRoot {
      defer { _ = changeDirectory(frame.root) }
      let moved = changeDirectory(parent.number)
      guard moved == 0 else { return moved }
      var address = scratch.rawOther
      if hasOwnRoot {
        address.truncate(to: Self.familySize)
        address.append(leaf)
        address.append(0)
      }
      return bindSocket(socket.number, address, length: address.count)
    }
    let opened = openAt(-100, PathText("/proc/\(n.thread)/cwd"), flags: O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return -Int(EACCES) }
    let cwd = FileDescriptor(owning: Int32(opened))
    guard n.isAlive() else { return -Int(EACCES) }
    let bind = ConfinedBind(
      socket: socket.number, address: scratch.rawOther, path: scratch.raw, leaf: leaf, cwd: cwd.number,
      parent: parent.number)
    return bind.run()
  }

  /// `sun_path` begins behind it. `unix(7)`
  private static let familySize = 2
}

extension FileDecider {
  /// Both lists must permit a bind to a path; the decision is that of the one that does not.
  mutating func decideBind(_ name: PathText) -> Decision {
    let socket = decideSocket(.bind, name)
    guard socket.permits || socket.asks else { return socket }
    let node = decide(.create, name)
    if socket.asks { return socket.stricter(node) }
    return node.permits ? socket : node
  }

  mutating func decideSocket(_ operation: SocketOperation, _ name: PathText) -> Decision {
    name.isTooLong
      ? Decision(.deny, .unixSocket, default: .unresolved) : decideSocket(operation, path: name.span)
  }
}

/// One bind of a path, by a thread of its own that can make sockets below the parent only. Descriptors are borrowed.
private final class ConfinedBind: Sendable {
  private let socket: Int32
  private let address: PathText
  private let path: PathText
  private let leaf: PathText
  private let cwd: Int32
  private let parent: Int32
  private let done = FutexWord()
  private let result = Atomic<Int>(-Int(EACCES))

  init(socket: Int32, address: PathText, path: PathText, leaf: PathText, cwd: Int32, parent: Int32) {
    self.socket = socket
    self.address = address
    self.path = path
    self.leaf = leaf
    self.cwd = cwd
    self.parent = parent
  }

  /// Returns 0 or -errno, when the thread is done with the descriptors. The thread inherits fsuid, groups and umask.
  func run() -> Int {
    do throws(SystemCallError) {
      try NamedThread.start("bind") { [self] in
        result.store(bind(), ordering: .releasing)
        done.wakeAll()
      }
    } catch {
      return -Int(EAGAIN)
    }
    while done.value == 0 { done.wait(while: 0) }
    return result.load(ordering: .acquiring)
  }

  private func bind() -> Int {
    guard separateFileSystemState() == 0, changeDirectory(cwd) == 0, confineSocketCreation(to: parent) == 0
    else {
      return -Int(EACCES)
    }
    let bound = bindSocket(socket, address, length: address.count)
    return bound == 0 && !isWhereItWasDecided() ? -Int(EACCES) : bound
  }

  /// The caller's string and the pinned parent show the same socket. Landlock let it come to be below the parent only;
  /// this finds it in a directory further down.
  private func isWhereItWasDecided() -> Bool {
    var decided = stat()
    var named = stat()
    guard statAt(parent, leaf, &decided, flags: AT_SYMLINK_NOFOLLOW) == 0,
      statAt(-100, path, &named, flags: AT_SYMLINK_NOFOLLOW) == 0
    else { return false }
    return FileType(mode: decided.st_mode) == .socket && decided.st_dev == named.st_dev
      && decided.st_ino == named.st_ino
  }
}
