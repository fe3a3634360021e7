package import LinuxSystem

/// Whether who listens is the daemon (DECISIONS 6): the kernel says whose process it is, and a process of our own
/// must be the installed `agentshd`. A socket of the right name proves nothing.
package struct DaemonTrust: Sendable {
  package let ownUID: UInt32
  /// Absolute path of the `agentshd` that belongs to this program.
  package let daemon: String

  package init(ownUID: UInt32, daemon: String) {
    self.ownUID = ownUID
    self.daemon = daemon
  }

  /// Why the peer is not trusted; nil when it is.
  ///
  /// - Parameter executable: reads `/proc/PID/exe`.
  package func objection(
    to peer: UnixSocket.Peer, executable: (Int32) -> String? = { readLink("/proc/\($0)/exe") }
  ) -> String? {
    if peer.uid != ownUID {
      // Root can do what it likes to us anyway, and its processes are not ours to look at.
      return peer.uid == 0 ? nil : "it runs as uid \(peer.uid), not as you (\(ownUID)) or root"
    }
    guard peer.pid > 0 else {
      return "it runs in another pid namespace, so that its program cannot be checked"
    }
    guard let program = executable(peer.pid) else {
      return "the program of process \(peer.pid) cannot be read"
    }
    // After an upgrade in place the running daemon's file is gone; its name still is ours to give.
    if program == daemon || program == daemon + " (deleted)" { return nil }
    return "process \(peer.pid) runs \(program), not \(daemon)"
  }
}
