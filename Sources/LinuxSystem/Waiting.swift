import CLinux

/// `poll(2)`: what happened to each descriptor, in order; all zero when the time is over. POLLERR and POLLHUP need not be
/// asked for. EINTR counts as nothing happened.
package func poll(_ entries: [(descriptor: Int32, events: Int16)], milliseconds: Int) -> [Int16] {
  var list = entries.map { pollfd(fd: $0.descriptor, events: $0.events, revents: 0) }
  // SAFETY: `list` lives across the call; the kernel writes its revents.
  _ = unsafe list.withUnsafeMutableBufferPointer {
    rawCall(Int(SYS_poll), kernelAddress($0.baseAddress), $0.count, milliseconds)
  }
  return list.map(\.revents)
}

/// `wait4(2)`; returns a pid, 0 with WNOHANG, or -errno.
package func waitFor(_ pid: Int32, _ options: Int, _ status: inout Int32) -> Int {
  // SAFETY: `status` lives across the call.
  unsafe withUnsafeMutablePointer(to: &status) {
    rawCall(Int(SYS_wait4), Int(pid), kernelAddress($0), options, 0)
  }
}

/// The status of a child that ended; waits for it.
package func waitForExit(_ pid: Int32) -> Int32 {
  var status: Int32 = 0
  _ = retryingInterrupt { waitFor(pid, 0, &status) }
  return status
}
