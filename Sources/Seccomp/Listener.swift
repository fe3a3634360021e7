import CLinux
package import LinuxSystem

/// The supervisor's end of a filter that notifies.
///
/// `seccomp_unotify(2)`, since Linux 5.0.
package struct Listener: ~Copyable, Sendable {
  package let descriptor: FileDescriptor

  /// Takes ownership of a listener descriptor and turns synchronous wake-up on where the kernel has it (6.6): without
  /// it a wake-up crosses CPUs at the scheduler's whim, 9.6 or 55 µs a call.
  package init(owning descriptor: consuming FileDescriptor) {
    self.descriptor = descriptor
    _ = clinux_notif_sync_wake_up(self.descriptor.number)
  }

  package enum Received: ~Copyable {
    case notification(PendingNotification)
    /// The caller died before its call was read, or a signal came: receive again.
    case nothing
    /// The descriptor is no listener any more: no task uses the filter, or it never was one.
    case closed(errno: Int32)
  }

  /// Blocks until a call is notified.
  package borrowing func receive() -> Received {
    var request = seccomp_notif()  // the kernel wants it zeroed
    // SAFETY: `request` lives across the call; its size is the kernel's (checked by `kernelAgreesOnSizes`).
    let result = unsafe clinux_notif_receive(descriptor.number, &request)
    if result == 0 { return .notification(PendingNotification(request, listener: descriptor.number)) }
    switch Int32(truncatingIfNeeded: -result) {
    case EINTR, EAGAIN: return .nothing
    case ENOENT: return isHungUp() ? .closed(errno: ENOENT) : .nothing
    case let other: return .closed(errno: other)
    }
  }

  /// Gives the value up without closing the descriptor, which others know by its number.
  package consuming func leaveOpen() { _ = descriptor.release() }

  /// Whether every task with this filter is gone.
  package borrowing func isHungUp() -> Bool {
    var entry = pollfd(fd: descriptor.number, events: 0, revents: 0)
    // SAFETY: one entry, alive across the call.
    let ready = unsafe poll(&entry, 1, 0)
    return ready > 0 && entry.revents & Int16(POLLHUP) != 0
  }

  /// Whether a descriptor is a seccomp listener at all: it knows what an unknown id is (ENOENT); others say ENOTTY.
  package static func isListener(_ number: Int32) -> Bool {
    clinux_notif_id_valid(number, UInt64.max) == -Int(ENOENT)
  }

  /// Whether a supervisor's calls on a listener get through to the kernel: nil, or the first that does not, and what it
  /// was answered. A container's own filter may let a listener be made and refuse its use.
  ///
  /// Without effect: each is asked for what the kernel refuses in a known way. `seccomp_unotify(2)`
  package static func refusedCall(on number: Int32) -> SystemCallError? {
    var request = seccomp_notif()
    request.id = 1  // not zeroed: EINVAL
    var response = seccomp_notif_resp()
    response.id = .max  // nobody's: ENOENT, as below
    var added = seccomp_notif_addfd()
    added.id = .max
    added.srcfd = UInt32(bitPattern: number)
    // SAFETY: all three live across the calls.
    let received = unsafe clinux_notif_receive(number, &request)
    if received != -Int(EINVAL) { return SystemCallError("SECCOMP_IOCTL_NOTIF_RECV", failure(received)) }
    let sent = unsafe clinux_notif_send(number, &response)
    if sent != -Int(ENOENT) { return SystemCallError("SECCOMP_IOCTL_NOTIF_SEND", failure(sent)) }
    let placed = unsafe clinux_notif_addfd(number, &added)
    if placed != -Int(ENOENT) { return SystemCallError("SECCOMP_IOCTL_NOTIF_ADDFD", failure(placed)) }
    return nil
  }

  private static func failure(_ result: Int) -> Int32 { result < 0 ? Int32(truncatingIfNeeded: -result) : 0 }

  /// Whether the kernel's structures are no larger than ours (SECCOMP_GET_NOTIF_SIZES). Throws what the call said where
  /// there is no answer.
  package static func kernelAgreesOnSizes() throws(SystemCallError) -> Bool {
    var sizes = seccomp_notif_sizes()
    // SAFETY: `sizes` lives across the call.
    let asked = unsafe withUnsafeMutablePointer(to: &sizes) {
      rawCall(Int(SYS_seccomp), 3 /* SECCOMP_GET_NOTIF_SIZES */, 0, kernelAddress($0))
    }
    try check("seccomp", asked)
    return Int(sizes.seccomp_notif) <= MemoryLayout<seccomp_notif>.size
      && Int(sizes.seccomp_notif_resp) <= MemoryLayout<seccomp_notif_resp>.size
  }
}
