import CLinux
import LinuxSystem
import Seccomp

/// A duplicate of what a descriptor number of the caller's named when it was taken: the number is memory like any other,
/// and another thread may put something else behind it.
struct CallerDescriptor: ~Copyable {
  let descriptor: FileDescriptor
  /// Of the calling thread (Linux 6.9), or of its process.
  let pidfd: FileDescriptor
  let pidfdIsThread: Bool

  enum Taken: ~Copyable {
    case taken(CallerDescriptor)
    /// What the kernel would say: EBADF, ESRCH.
    case failed(errno: Int32)
    /// We may not take it: a caller that is not dumpable, or a kernel that gates pidfd_getfd.
    case unreachable
  }

  /// `pidfd_getfd(2)`
  static func take(_ n: borrowing PendingNotification, _ number: Int32) -> Taken {
    var isThread = true
    var opened = openPidfd(n.thread, flags: pidfdThread)
    if opened == -Int(EINVAL) {
      isThread = false
      guard let status = ThreadStatus(reading: n.thread) else { return .failed(errno: ESRCH) }
      opened = openPidfd(status.process)
    }
    guard opened >= 0 else { return .unreachable }
    let pidfd = FileDescriptor(owning: Int32(opened))
    let taken = takeDescriptor(pidfd.number, number)
    guard taken >= 0 else { return taken == -Int(EBADF) ? .failed(errno: EBADF) : .unreachable }
    return .taken(
      CallerDescriptor(
        descriptor: FileDescriptor(owning: Int32(taken)), pidfd: pidfd, pidfdIsThread: isThread))
  }
}
