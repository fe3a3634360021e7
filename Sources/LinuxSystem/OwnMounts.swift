import CLinux
import Synchronization

/// The mounts that this process sees, read again only where the kernel says that they have changed: it does to who polls
/// an open mountinfo. `proc_pid_mountinfo(5)`
package enum OwnMounts {
  private final class Known: Sendable {
    let file: FileDescriptor
    let mounts: [Mount]

    init(_ file: consuming FileDescriptor, _ mounts: [Mount]) {
      self.file = file
      self.mounts = mounts
    }

    /// Whether /proc/self/mountinfo has something new.
    var areStale: Bool { poll([(file.number, Int16(POLLPRI))], milliseconds: 0)[0] != 0 }
  }
  private static let known = Mutex<Known?>(nil)

  /// Whether `process` sees the same: the same mount namespace, and the same root in it. `namespaces(7)`
  package static func are(of process: Int32) -> Bool {
    ["ns/mnt", "root"].allSatisfy {
      leadToSame(PathText("/proc/self/\($0)"), PathText("/proc/\(process)/\($0)"))
    }
  }

  /// As `Mount.all()`. Throws what opening and reading /proc/self/mountinfo do.
  package static func all() throws(SystemCallError) -> [Mount] {
    try known.withLock { known throws(SystemCallError) in
      if let known, !known.areStale { return known.mounts }
      // Opened first: what changes after that is told.
      let path = PathText("/proc/self/mountinfo")
      let file = FileDescriptor(
        owning: Int32(try check("open", openAt(AT_FDCWD, path, flags: O_RDONLY | O_CLOEXEC))))
      let mounts = Mount.all(in: try readAll(file.number, limit: Mount.textLimit).get())
      known = Known(file, mounts)
      return mounts
    }
  }
}
