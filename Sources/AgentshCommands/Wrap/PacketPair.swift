import LinuxSystem

/// Two ends of a connection that keeps messages apart: one for us, one for a child. CLOEXEC. `socketpair(2)`
struct PacketPair: ~Copyable {
  let ours: FileDescriptor
  let theirs: FileDescriptor

  init() throws(CommandFailure) {
    do throws(SystemCallError) {
      let pair = try UnixSocket.packetPair()
      ours = FileDescriptor(owning: pair.0)
      theirs = FileDescriptor(owning: pair.1)
    } catch { throw CommandFailure(code: ExitStatus.notWrapped, "\(error)") }
  }
}
