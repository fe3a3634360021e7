import CLinux

/// A descriptor that this value owns; closed once, when the value goes.
///
/// `close(2)` is not retried: on Linux the number is free after EINTR.
package struct FileDescriptor: ~Copyable, Sendable {
  package let number: Int32

  /// Takes ownership of an open descriptor.
  package init(owning number: Int32) { self.number = number }

  /// Gives the number up without closing it.
  package consuming func release() -> Int32 {
    let number = number
    discard self
    return number
  }

  /// A second descriptor (CLOEXEC) for the same open file. Throws EMFILE. `fcntl(2)`, F_DUPFD_CLOEXEC.
  package borrowing func duplicate() throws(SystemCallError) -> FileDescriptor {
    let copy = rawCall(Int(SYS_fcntl), Int(number), Int(F_DUPFD_CLOEXEC), 3)
    return FileDescriptor(owning: Int32(try check("fcntl", copy)))
  }

  deinit { rawCall(Int(SYS_close), Int(number)) }
}
