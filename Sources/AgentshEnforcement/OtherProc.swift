import LinuxSystem

// A procfs that is mounted elsewhere than at /proc, as for a chroot. What is opened there is opened by the supervisor:
// `self` is the supervisor, and its own memory is open to it whatever Landlock and ptrace's checks say of the caller; and
// the processes of other users' namespaces are there. So nothing there is permitted. Mounts that are known are closed
// (`Mounts`, `MountTable`); one that was made a moment ago is met by what follows, which asks the object itself.

extension Mediator {
  /// Whether a walk may go on from a directory of a procfs that is called `name`.
  func isOurProc(_ name: PathText) -> Bool { name.equals("/proc") || name.starts(with: "/proc/") }

  /// Whether a descriptor is a process's file elsewhere.
  func isOfProcessElsewhere(_ descriptor: Int32, _ name: PathText) -> Bool {
    hasNumber(name) && !isOurProc(name) && isProc(descriptor)
  }

  /// Whether a component of the name is a number.
  private func hasNumber(_ name: PathText) -> Bool {
    var digits = false
    for index in 0..<name.count {
      let byte = name[index]
      if byte == UInt8(ascii: "/") {
        if digits { return true }
        digits = true
      } else if byte < 0x30 || byte > 0x39 {
        digits = false
      }
    }
    return digits
  }
}
