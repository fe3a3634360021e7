import CLinux
import LinuxSystem
import Seccomp

// The slow way, where the kernel can go it in one step: links and `..` are followed in its cache only, so that no file
// system is asked and nobody waits; never through a magic link. What comes of it is a pin like any other: the name that
// the kernel has for it is decided on, and it is what is opened, so nothing is won by changing a link meanwhile. All
// that is not plainly there is left to the walk, which knows whose `/proc/self` is meant.

extension Mediator {
  /// `openat2(2)` with RESOLVE_CACHED. Nil: to be walked.
  func resolveCached(
    _ notification: borrowing PendingNotification, directory: Int32, raw: PathText, follow: Bool,
    ownRoot: Bool, name: inout PathText, mayBlock: Bool
  ) -> Pin? {
    let flags = UInt64(O_PATH | O_CLOEXEC) | (follow ? 0 : UInt64(O_NOFOLLOW))
    let resolve = UInt64(RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED)
    let opened: Int
    if raw.starts(with: "/"), !ownRoot {
      opened = openAt2(frame.root, raw, flags: flags, resolve: resolve)
    } else if raw.starts(with: "/") {
      let root = ProcPath(notification.thread, "root").open(flags: O_PATH | O_CLOEXEC)
      guard root >= 0 else { return nil }
      opened = openAt2(Int32(root), raw, flags: flags, resolve: resolve | UInt64(RESOLVE_IN_ROOT))
      closeDescriptor(Int32(root))
    } else {
      let base =
        directory == AT_FDCWD
        ? ProcPath(notification.thread, "cwd").open(flags: O_PATH | O_CLOEXEC)
        : ProcPath(notification.thread, "fd", directory).open(flags: O_PATH | O_CLOEXEC)
      guard base >= 0 else { return nil }
      // What leads above it may lead above the caller's root.
      opened = openAt2(
        Int32(base), raw, flags: flags, resolve: ownRoot ? resolve | UInt64(RESOLVE_BENEATH) : resolve)
      closeDescriptor(Int32(base))
    }
    guard opened >= 0 else { return nil }
    let object = FileDescriptor(owning: Int32(opened))
    var named = PathText()
    guard nameOfDescriptor(object.number, of: notification.thread, into: &named) == 0,
      named.starts(with: "/"), !endsInDeleted(named),
      !touchesProcess(named)
    else { return nil }
    if !mayBlock, frame.isRemote(named) { return .mustWait }
    name = named
    return .object(object)
  }
}
