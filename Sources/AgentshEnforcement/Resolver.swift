import CLinux
package import LinuxSystem
package import Seccomp

// From the caller's words to one object. Two ways:
//
// Fast: the name is cleaned as text and must be link-free; whoever acts on it opens it from the root with
// RESOLVE_NO_SYMLINKS, so that the name *is* the object, whatever changes in between (ELOOP says: a link).
// Slow: components are walked one by one with O_PATH|O_NOFOLLOW from the root, links are read here and magic links
// (/proc/PID/fd and its like) are followed only into the caller's own tree. The result is pinned.

/// Where a path leads.
package enum Pin: ~Copyable {
  /// O_PATH handle; the canonical name is in the `name` that was given.
  case object(FileDescriptor)
  case failed(errno: Int32)
  /// The file system may keep its caller waiting, and this thread must not: hand the call over.
  case mustWait
}

/// The directory that holds (or will hold) a name, and the last component. Nothing follows the last component.
package enum Place: ~Copyable {
  /// `name` holds the canonical parent and the leaf; the leaf starts at `leafStart` of it.
  case parent(FileDescriptor, leafStart: Int)
  case failed(errno: Int32)
  case mustWait
}
