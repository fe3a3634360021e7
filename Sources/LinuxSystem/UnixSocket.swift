import CLinux

/// Unix stream sockets as a client uses them. `unix(7)`.
package enum UnixSocket {
  /// Who is on the other side, as the kernel wrote it down when the other side began to listen or to connect.
  package struct Peer: Sendable, Equatable {
    /// In our pid namespace; 0 when the peer is not in it.
    package let pid: Int32
    package let uid: UInt32

    package init(pid: Int32, uid: UInt32) {
      self.pid = pid
      self.uid = uid
    }
  }

  /// Connects a stream socket (CLOEXEC). Waits at most `seconds` while the listener's queue is full (EAGAIN).
  ///
  /// ENOENT and ENOTDIR: no socket. ECONNREFUSED: a socket that nobody listens on. EACCES, EPERM: not for us.
  /// `connect(2)`, SO_SNDTIMEO of `socket(7)`.
  package static func connect(to path: String, seconds: Int = 10) throws(SystemCallError) -> FileDescriptor {
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, !bytes.contains(0) else { throw SystemCallError("connect", EINVAL) }
    guard bytes.count <= 107 else { throw SystemCallError("connect", ENAMETOOLONG) }
    let type = Int(SOCK_STREAM.rawValue) | Int(SOCK_CLOEXEC.rawValue)
    let socket = FileDescriptor(
      owning: Int32(try check("socket", rawCall(Int(SYS_socket), Int(AF_UNIX), type, 0))))
    try setTimeout(socket, SO_SNDTIMEO, seconds: seconds)
    var address: [UInt8] = [UInt8(AF_UNIX), 0]
    address += bytes
    address.append(0)
    let number = socket.number
    let result = retryingInterrupt {
      // SAFETY: `address` lives across the call, which only reads it.
      unsafe address.withUnsafeBytes {
        rawCall(Int(SYS_connect), Int(number), kernelAddress($0.baseAddress), $0.count)
      }
    }
    try check("connect", result)
    return socket
  }

  /// A connected pair of SOCK_SEQPACKET sockets (CLOEXEC). `socketpair(2)`.
  package static func packetPair() throws(SystemCallError) -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    let type = Int(SOCK_SEQPACKET.rawValue) | Int(SOCK_CLOEXEC.rawValue)
    // SAFETY: the kernel writes two numbers.
    let result = unsafe ends.withUnsafeMutableBytes {
      rawCall(Int(SYS_socketpair), Int(AF_UNIX), type, 0, kernelAddress($0.baseAddress))
    }
    try check("socketpair", result)
    return (ends[0], ends[1])
  }

  /// SO_PEERCRED. `unix(7)`.
  package static func peer(of socket: borrowing FileDescriptor) throws(SystemCallError) -> Peer {
    var credentials = clinux_ucred()
    var length = UInt32(MemoryLayout<clinux_ucred>.size)
    let number = socket.number
    // SAFETY: both live across the call; the kernel writes at most `length` bytes.
    let result = unsafe withUnsafeMutablePointer(to: &credentials) { credentials in
      unsafe withUnsafeMutablePointer(to: &length) { length in
        rawCall(
          Int(SYS_getsockopt), Int(number), Int(SOL_SOCKET), Int(SO_PEERCRED), kernelAddress(credentials),
          kernelAddress(length))
      }
    }
    try check("getsockopt", result)
    return Peer(pid: credentials.pid, uid: credentials.uid)
  }

  /// How long a call on the socket may block. `socket(7)`.
  package static func setTimeout(
    _ socket: borrowing FileDescriptor, _ option: Int32, seconds: Int
  ) throws(SystemCallError) {
    var time: [Int] = [seconds, 0]
    let number = socket.number
    // SAFETY: a struct timeval is two longs here; the kernel only reads it.
    let result = unsafe time.withUnsafeMutableBytes {
      rawCall(
        Int(SYS_setsockopt), Int(number), Int(SOL_SOCKET), Int(option), kernelAddress($0.baseAddress),
        $0.count)
    }
    try check("setsockopt", result)
  }
}
