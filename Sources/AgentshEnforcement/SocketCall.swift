import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
package import Seccomp
import Synchronization

// Calls on sockets: connect, bind, sendto, sendmsg, sendmmsg.
//
// The race between check and use: the descriptor number is taken once, as a duplicate of the caller's socket; the
// address is copied once; what was decided on is what the duplicate is given. A Unix path is pinned with O_PATH, and
// the pinned object is what is connected to. Nothing here is ever answered with CONTINUE, but for what
// Namespaces.swift says of connected sockets.
//
// Errnos of a denial: EPERM for network addresses (what a firewall rule gives), EACCES for Unix sockets (what file
// permissions give). `connect(2)` lists both.

extension Mediator {
  /// Carries out a call on a socket, or refuses it.
  package func socketCall(
    _ n: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    switch CallerSocket.take(&n) {
    // What is no socket is closed with the call, and a file's server may keep that waiting.
    case .failed(ENOTSOCK) where !scratch.mayBlock: handOver(n)
    case .failed(let errno): n.fail(errno)
    case .unreachable: refuse(n, errno: EACCES, &scratch, started)
    case .taken(let socket):
      // Closing the last descriptor of such a socket may wait; ours may be the last one.
      if !scratch.mayBlock, socket.lingers {
        handOver(n)
        return
      }
      if sendsItself(n, on: socket) {
        n.passThrough()
        return
      }
      switch Int(n.call) {
      case Int(SYS_connect): connect(n, socket, &scratch, started)
      case Int(SYS_bind): bind(n, socket, &scratch, started)
      case Int(SYS_sendto): sendTo(n, socket, &scratch, started)
      case Int(SYS_sendmsg): sendMessage(n, socket, &scratch, started)
      case Int(SYS_sendmmsg): sendMessages(n, socket, &scratch, started)
      default: n.fail(EPERM)
      }
    }
  }

  /// Refuses a call that could not be read, with its event; nothing of it is known but which call it was.
  func refuse(
    _ n: consuming PendingNotification, errno: Int32, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let (kind, operation): (EventRecord.Kind, SocketOperation) =
      switch Int(n.call) {
      case Int(SYS_connect): (.connect, .connect)
      case Int(SYS_bind): (.bind, .bind)
      default: (.send, .sendto)
      }
    scratch.name.removeAll()
    let outcome = Recorder.Outcome(
      kind, n, operation: operation.rawValue, decision: Decision(.deny, .network, default: .unresolved),
      errno: errno,
      started: started)
    n.fail(errno)
    recorder.record(outcome, raw: scratch.name, name: scratch.name)
  }

  /// Copies the address of a call into `scratch.rawOther`. Returns 0 or the errno that the kernel would give.
  func readAddress(
    _ n: borrowing PendingNotification, at address: UInt64, length: Int32, _ scratch: inout Scratch
  ) -> Int32 {
    guard length >= 0, length <= SocketAddress.limit else { return EINVAL }
    if length == 0 {
      scratch.rawOther.removeAll()
      return 0
    }
    return n.readBytes(address, count: Int(length), into: &scratch.rawOther)
  }

  /// Answers a call that was interrupted while it waited: restarted after the caller's signal where the kernel would
  /// (no handler, or one with SA_RESTART), EINTR otherwise. -512 is ERESTARTSYS, which must not reach a thread that has no
  /// signal to take, so it is only used where the signal can be no other thread's.
  func answerInterrupted(_ n: consuming PendingNotification, _ socket: borrowing CallerSocket) {
    guard !socket.hasSendTimeout, let status = ThreadStatus(reading: n.thread) else {
      n.fail(EINTR)
      return
    }
    let takes = ~status.blocked & ~status.ignored
    let own = status.pending & takes != 0
    let shared = status.threads == 1 && status.sharedPending & takes != 0
    n.fail(own || shared ? 512 : EINTR)
  }

  /// Runs a call by which others learn who calls (SO_PEERCRED, SCM_CREDENTIALS) with the caller's effective uid and gid.
  /// Only root's sessions know any but the owner's. nil when that cannot be had: the call is then denied.
  func asCaller(
    _ n: borrowing PendingNotification, _ scratch: inout Scratch, _ body: () -> Int
  ) -> Int? {
    guard frame.ownerUID == 0, identitiesVary.load(ordering: .sequentiallyConsistent) else { return body() }
    guard let status = ThreadStatus(reading: n.thread) else { return nil }
    if status.effectiveUID == 0 { return body() }
    guard status.effectiveUID == status.fsUID else { return nil }
    scratch.identity = nil  // coming back makes the thread's fsuid and fsgid root's
    guard becomeEffective(uid: status.effectiveUID, gid: status.fsGID) == 0 else {
      _ = becomeRootAgain()
      return nil
    }
    let result = body()
    return becomeRootAgain() == 0 ? result : nil
  }
}

/// A duplicate of the caller's socket, and what it is. Kept by the call: it is closed before the answer.
package struct CallerSocket: ~Copyable {
  let number: Int32
  let pidfd: FileDescriptor
  let pidfdIsThread: Bool
  let domain: Int32
  let type: Int32
  let proto: Int32
  /// O_NONBLOCK of the open file, which the caller shares with us: read, never changed.
  let nonBlocking: Bool

  package enum Taken: ~Copyable {
    case taken(CallerSocket)
    /// What the kernel would say: EBADF, ENOTSOCK.
    case failed(errno: Int32)
    /// We may not take it: a caller that is not dumpable, or a kernel that gates pidfd_getfd.
    case unreachable
  }

  package static func take(_ n: inout PendingNotification) -> Taken {
    let caller: CallerDescriptor
    switch CallerDescriptor.take(n, n.int(0)) {
    case .failed(let errno): return .failed(errno: errno)
    case .unreachable: return .unreachable
    case .taken(let taken): caller = taken
    }
    let number = n.keep(caller.descriptor)
    guard case .success(let domain) = socketOption(number, SO_DOMAIN),
      case .success(let type) = socketOption(number, SO_TYPE),
      case .success(let proto) = socketOption(number, SO_PROTOCOL)
    else {
      let flags = controlDescriptor(number, F_GETFL)
      return .failed(errno: flags >= 0 && flags & Int(O_PATH) != 0 ? EBADF : ENOTSOCK)
    }
    let flags = controlDescriptor(number, F_GETFL)
    guard flags >= 0 else { return .failed(errno: EBADF) }
    return .taken(
      CallerSocket(
        number: number, pidfd: caller.pidfd, pidfdIsThread: caller.pidfdIsThread, domain: domain, type: type,
        proto: proto,
        nonBlocking: flags & Int(O_NONBLOCK) != 0))
  }

  var isUnix: Bool { domain == AF_UNIX }
  var isNetlink: Bool { domain == 16 }
  var isInternet: Bool { domain == AF_INET || domain == AF_INET6 }
  /// Connected before it sends: a destination in a message means nothing.
  var isConnected: Bool { type == SocketType.stream || type == SocketType.sequenced }

  /// What rules can speak of: TCP (also multipath), UDP (also Lite), and the echo sockets of ping. SCTP and DCCP have
  /// ways of their own to name a peer.
  var isKnownProtocol: Bool {
    switch type {
    case SocketType.stream: proto == 6 || proto == 262
    case SocketType.datagram: proto == 17 || proto == 136 || proto == 1 || proto == 58
    default: false
    }
  }

  var lingers: Bool {
    guard isInternet, type == SocketType.stream, let words = socketOptionWords(number, SO_LINGER) else {
      return false
    }
    return words.0 & 0xffff_ffff != 0 && words.0 >> 32 != 0
  }

  var hasSendTimeout: Bool {
    guard let words = socketOptionWords(number, SO_SNDTIMEO) else { return true }
    return words.0 != 0 || words.1 != 0
  }
}

/// SOCK_STREAM and its like are an enumeration that Swift sees with another type.
enum SocketType {
  static let stream: Int32 = 1
  static let datagram: Int32 = 2
  static let sequenced: Int32 = 5
}
