import AgentshSession
import CLinux
import LinuxSystem

/// Unix sockets as a server uses them, without an event loop: descriptors are passed over them. `unix(7)`.
enum ServerSocket {
  /// A listening stream socket at `path`, non-blocking, with `mode`. The name must be free.
  /// Throws EADDRINUSE, ENAMETOOLONG. `bind(2)`, `listen(2)`
  static func listen(at path: String, mode: UInt32) throws(SystemCallError) -> FileDescriptor {
    let socket = try bind(at: path)
    // Made 0700 by our umask; nobody can connect before listen, so widening here opens no window.
    try check(
      "chmod", PathText(path).withAddress { rawCall(Int(SYS_fchmodat), Int(AT_FDCWD), $0, Int(mode)) })
    // The kernel takes no more than net.core.somaxconn.
    try check("listen", rawCall(Int(SYS_listen), Int(socket.number), 4096))
    return socket
  }

  /// A stream socket with a name, non-blocking, that nobody can connect to yet. Throws as `listen`. `bind(2)`
  static func bind(at path: String) throws(SystemCallError) -> FileDescriptor {
    let bytes = Array(path.utf8)
    guard bytes.count <= 107, !bytes.contains(0) else { throw SystemCallError("bind", ENAMETOOLONG) }
    let type = Int(SOCK_STREAM.rawValue) | Int(SOCK_CLOEXEC.rawValue) | Int(SOCK_NONBLOCK.rawValue)
    let socket = FileDescriptor(
      owning: Int32(try check("socket", rawCall(Int(SYS_socket), Int(AF_UNIX), type, 0))))
    let address: [UInt8] = [UInt8(AF_UNIX), 0] + bytes + [0]
    // SAFETY: the address lives across the call, which only reads it.
    let bound = unsafe address.withUnsafeBytes {
      rawCall(Int(SYS_bind), Int(socket.number), kernelAddress($0.baseAddress), $0.count)
    }
    try check("bind", bound)
    return socket
  }

  /// The next connection, non-blocking; nil when none waits. `accept4(2)`
  static func accept(_ listener: Int32) throws(SystemCallError) -> FileDescriptor? {
    let flags = Int(SOCK_CLOEXEC.rawValue) | Int(SOCK_NONBLOCK.rawValue)
    let result = retryingInterrupt { rawCall(Int(SYS_accept4), Int(listener), 0, 0, flags) }
    if result == -Int(EAGAIN) || result == -Int(ECONNABORTED) { return nil }
    return FileDescriptor(owning: Int32(try check("accept", result)))
  }

  /// SO_PEERCRED: who connected, as the kernel wrote it down then. `unix(7)`
  static func peer(of socket: Int32) throws(SystemCallError) -> Caller {
    var credentials = clinux_ucred()
    var length = UInt32(MemoryLayout<clinux_ucred>.size)
    // SAFETY: both live across the call, which writes at most `length` bytes.
    let result = unsafe withUnsafeMutablePointer(to: &credentials) { credentials in
      unsafe withUnsafeMutablePointer(to: &length) { length in
        rawCall(
          Int(SYS_getsockopt), Int(socket), Int(SOL_SOCKET), Int(SO_PEERCRED), kernelAddress(credentials),
          kernelAddress(length))
      }
    }
    try check("getsockopt", result)
    return Caller(uid: credentials.uid, gid: credentials.gid, pid: credentials.pid)
  }

  /// A pidfd of who connected: SO_PEERPIDFD (77, since Linux 6.5), else `pidfd_open(2)` of the pid. Throws ESRCH when
  /// the peer is gone already.
  static func peerPidfd(of socket: Int32, pid: Int32) throws(SystemCallError) -> FileDescriptor {
    var number: Int32 = -1
    var length = UInt32(4)
    // SAFETY: both live across the call, which writes at most four bytes.
    let result = unsafe withUnsafeMutablePointer(to: &number) { number in
      unsafe withUnsafeMutablePointer(to: &length) { length in
        rawCall(
          Int(SYS_getsockopt), Int(socket), Int(SOL_SOCKET), 77, kernelAddress(number),
          kernelAddress(length))
      }
    }
    if result == 0, number >= 0 { return FileDescriptor(owning: number) }
    guard result == -Int(ENOPROTOOPT) else { throw SystemCallError("getsockopt", Int32(-result)) }
    return FileDescriptor(owning: Int32(try check("pidfd_open", openPidfd(pid))))
  }

  /// Back to blocking, with a limit for each write: a peer that does not read holds nobody up. `socket(7)`
  static func makeBlocking(_ socket: Int32, sendSeconds: Int) throws(SystemCallError) {
    let flags = try check("fcntl", controlDescriptor(socket, F_GETFL))
    try check("fcntl", controlDescriptor(socket, F_SETFL, flags & ~Int(O_NONBLOCK)))
    let time: [Int] = [sendSeconds, 0]
    // SAFETY: struct timeval is two longs; the kernel only reads it.
    let result = unsafe time.withUnsafeBytes {
      rawCall(
        Int(SYS_setsockopt), Int(socket), Int(SOL_SOCKET), Int(SO_SNDTIMEO), kernelAddress($0.baseAddress),
        $0.count)
    }
    try check("setsockopt", result)
  }

  /// A connected pair of stream sockets (CLOEXEC). `socketpair(2)`
  static func pair() throws(SystemCallError) -> (Int32, Int32) {
    var ends: (Int32, Int32) = (-1, -1)
    let type = Int(SOCK_STREAM.rawValue) | Int(SOCK_CLOEXEC.rawValue)
    // SAFETY: the kernel writes two numbers.
    let result = unsafe withUnsafeMutablePointer(to: &ends) {
      rawCall(Int(SYS_socketpair), Int(AF_UNIX), type, 0, kernelAddress($0))
    }
    try check("socketpair", result)
    return ends
  }

  /// Writes all of it. Throws EPIPE, or EAGAIN when the peer does not read in time. `sendto(2)`, MSG_NOSIGNAL
  static func write(_ bytes: [UInt8], to socket: Int32) throws(SystemCallError) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the range lies inside the array.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        retryingInterrupt {
          rawCall(
            Int(SYS_sendto), Int(socket), kernelAddress(buffer.baseAddress) + done, buffer.count - done,
            Int(MSG_NOSIGNAL))
        }
      }
      done += try check("send", count)
    }
  }
}

/// What `poll(2)` waits for. Returns the indexes of descriptors with something to say; empty when the time is over.
func waitForAny(_ descriptors: [Int32], milliseconds: Int) -> [Int] {
  var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
  // SAFETY: the array lives across the call. EINTR counts as nothing.
  let result = unsafe entries.withUnsafeMutableBufferPointer {
    rawCall(Int(SYS_poll), kernelAddress($0.baseAddress), $0.count, milliseconds)
  }
  guard result > 0 else { return [] }
  return entries.indices.filter { entries[$0].revents != 0 }
}
