import CLinux
package import LinuxSystem
package import Seccomp
import Synchronization

// From the caller's words to one object. Two ways:
//
// Fast: the name is cleaned as text and must be link-free; whoever acts on it opens it from the root with
// RESOLVE_NO_SYMLINKS, so that the name *is* the object, whatever changes in between (ELOOP says: a link).
// Slow (Walk.swift): components are walked one by one from the root, links are read here, the result is pinned.

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
  /// `name` holds the canonical parent and the leaf; the leaf starts at `leafStart` of it. A name that ended in `/`
  /// still does: the kernel then asks for a directory.
  case parent(FileDescriptor, leafStart: Int)
  /// EBUSY stands for `.`, `..` and the root, which are no names of anything.
  case failed(errno: Int32)
  case mustWait
}

/// What cleaning a path as text came to.
package struct Cleaned {
  package var errno: Int32 = 0
  /// `..` after a name, a directory that has no name any more or may be on another's mount, or a root of the caller's own:
  /// only a walk tells.
  package var needsWalk = false
  /// The path ended in `/` or `/.`: a directory is wanted and a link there would be followed.
  package var wantsDirectory = false
  /// The last component is `.` or `..`, or there is none.
  package var endsInDots = false
}

extension Mediator {
  /// Writes the absolute name that `raw` means for the caller, cleaned as text, into `name`.
  package func clean(
    _ notification: borrowing PendingNotification, directory: Int32, raw: PathText, name: inout PathText
  ) -> Cleaned {
    var result = Cleaned()
    if raw.isEmpty {
      result.errno = ENOENT
      return result
    }
    if raw[0] == UInt8(ascii: "/") {
      name.removeAll()
      if hasOwnRoot(notification.thread) { result.needsWalk = true }
    } else {
      guard directory >= 0 || directory == AT_FDCWD else {
        result.errno = EBADF
        return result
      }
      let length =
        directory == AT_FDCWD
        ? ProcPath(notification.thread, "cwd").readLink(into: &name)
        : ProcPath(notification.thread, "fd", directory).readLink(into: &name)
      if length < 0 {
        // ENAMETOOLONG: a directory whose whole name is longer than any path (getcwd(2) says so, too).
        result.errno =
          length == -Int(ENAMETOOLONG)
          ? ENAMETOOLONG : directory == AT_FDCWD ? ENOENT : length == -Int(ENOENT) ? EBADF : EACCES
        return result
      }
      guard length > 0, name[0] == UInt8(ascii: "/") else {
        result.errno = ENOTDIR
        return result
      }
      if endsInDeleted(name) || mountsVary.load(ordering: .sequentiallyConsistent) { result.needsWalk = true }
      if name.count == 1 { name.removeAll() }
    }
    let base = name.count
    appendComponents(of: raw, to: &name, base: base, &result)
    if name.isEmpty {
      name.append(UInt8(ascii: "/"))
      result.endsInDots = true
    }
    if name.isTooLong { result.errno = ENAMETOOLONG }
    if !result.needsWalk { replaceRootLink(&name) }
    return result
  }

  private func appendComponents(of raw: PathText, to name: inout PathText, base: Int, _ result: inout Cleaned)
  {
    var index = 0
    var named = false
    while index < raw.count {
      if raw[index] == UInt8(ascii: "/") {
        index += 1
        continue
      }
      var end = index
      while end < raw.count, raw[end] != UInt8(ascii: "/") { end += 1 }
      let length = end - index
      let dot = raw[index] == UInt8(ascii: ".")
      result.endsInDots = dot && (length == 1 || length == 2 && raw[index + 1] == UInt8(ascii: "."))
      if dot, length == 2, raw[index + 1] == UInt8(ascii: ".") {
        // Above a name that we appended lies its target's parent, if it is a link; above the base its own parent.
        if named { result.needsWalk = true }
        var cut = name.count
        while cut > 0, name[cut - 1] != UInt8(ascii: "/") { cut -= 1 }
        name.truncate(to: max(0, cut - 1))
      } else if !(dot && length == 1) {
        name.append(UInt8(ascii: "/"))
        for position in index..<end { name.append(raw[position]) }
        named = true
        if length > 255 { result.errno = ENAMETOOLONG }
      }
      index = end
    }
    result.wantsDirectory = result.endsInDots || raw[raw.count - 1] == UInt8(ascii: "/")
  }

  /// `/bin/x` is `/usr/bin/x` where the system's own link says so (DECISIONS 15).
  private func replaceRootLink(_ name: inout PathText) {
    for from in frame.rootLinks where name.count >= from.count {
      var same = true
      for index in 0..<from.count where name[index] != from[index] { same = false }
      guard same, name.count == from.count || name[from.count] == UInt8(ascii: "/") else { continue }
      // The link itself may be what is meant (readlink, lstat, unlink): then it is not replaced.
      guard name.count > from.count else { continue }
      name.prepend("/usr")
      return
    }
  }

  /// /proc writes so behind the name of a directory or file that is gone. `proc_pid_fd(5)`.
  package func endsInDeleted(_ name: PathText) -> Bool {
    let mark = Mediator.deletedMark
    guard name.count > mark.utf8CodeUnitCount else { return false }
    let start = name.count - mark.utf8CodeUnitCount
    // SAFETY: a StaticString's bytes live for ever.
    for index in 0..<mark.utf8CodeUnitCount where unsafe name[start + index] != mark.utf8Start[index] {
      return false
    }
    return true
  }

  /// Resolves all of a path to a pinned object.
  package func pin(
    _ notification: borrowing PendingNotification, directory: Int32, raw: PathText, follow: Bool,
    name: inout PathText, mayBlock: Bool
  ) -> Pin {
    let cleaned = clean(notification, directory: directory, raw: raw, name: &name)
    if cleaned.errno != 0 { return .failed(errno: cleaned.errno) }
    if !mayBlock, frame.isRemote(name) { return .mustWait }
    if !cleaned.needsWalk, !touchesProcess(name) {
      var flags = UInt64(O_PATH | O_CLOEXEC)
      if cleaned.wantsDirectory { flags |= UInt64(O_DIRECTORY) }
      if !follow, !cleaned.wantsDirectory { flags |= UInt64(O_NOFOLLOW) }
      let opened = openBelowRoot(name, flags: flags)
      if opened >= 0 { return .object(FileDescriptor(owning: Int32(opened))) }
      if !walkTells(opened, raw) { return .failed(errno: Int32(truncatingIfNeeded: -opened)) }
    }
    return walk(
      notification, directory: directory, raw: raw, follow: follow || cleaned.wantsDirectory, name: &name,
      mayBlock: mayBlock)
  }

  /// Resolves the directory of a path and leaves its last component alone.
  package func place(
    _ notification: borrowing PendingNotification, directory: Int32, raw: PathText, name: inout PathText,
    mayBlock: Bool
  ) -> Place {
    let cleaned = clean(notification, directory: directory, raw: raw, name: &name)
    if cleaned.errno != 0 { return .failed(errno: cleaned.errno) }
    if cleaned.endsInDots { return .failed(errno: EBUSY) }
    if !mayBlock, frame.isRemote(name) { return .mustWait }
    if !cleaned.needsWalk, !touchesProcess(name) {
      let leaf = leafStart(name)
      let opened = openParent(&name, leaf)
      if opened >= 0 {
        if cleaned.wantsDirectory { name.append(UInt8(ascii: "/")) }
        return .parent(FileDescriptor(owning: Int32(opened)), leafStart: leaf)
      }
      if !walkTells(opened, raw) { return .failed(errno: Int32(truncatingIfNeeded: -opened)) }
    }
    return walkToParent(
      notification, directory: directory, raw: raw, name: &name, wantsDirectory: cleaned.wantsDirectory,
      mayBlock: mayBlock)
  }

  /// There is a link on the way; or a directory above may not be searched, and a relative path does not pass it.
  func walkTells(_ opened: Int, _ raw: PathText) -> Bool {
    opened == -Int(ELOOP) || opened == -Int(EACCES) && !raw.starts(with: "/")
  }

  /// Where the last component of a canonical name begins.
  package func leafStart(_ name: PathText) -> Int {
    var index = name.count
    while index > 0, name[index - 1] != UInt8(ascii: "/") { index -= 1 }
    return index
  }

  /// Opens the canonical name from the root; a link anywhere is ELOOP.
  package func openBelowRoot(_ name: PathText, flags: UInt64, mode: UInt64 = 0, resolve: UInt64 = 0) -> Int {
    if name.count == 1 {
      return openAt2(
        frame.root, Mediator.dot, flags: flags, mode: mode, resolve: resolve | UInt64(RESOLVE_NO_SYMLINKS))
    }
    return openAt2(
      frame.root, name, from: 1, flags: flags, mode: mode, resolve: resolve | UInt64(RESOLVE_NO_SYMLINKS))
  }

  private func openParent(_ name: inout PathText, _ leaf: Int) -> Int {
    let flags = UInt64(O_PATH | O_DIRECTORY | O_CLOEXEC)
    if leaf == 1 {
      return openAt2(frame.root, Mediator.dot, flags: flags, resolve: UInt64(RESOLVE_NO_SYMLINKS))
    }
    // The slash before the leaf becomes the parent's end for the time of the call.
    return name.withEnd(at: leaf - 1) { openBelowRoot($0, flags: flags) }
  }

  /// Names below /proc/PID: whose they are is part of what is asked, so they are walked.
  package func touchesProcess(_ name: PathText) -> Bool {
    name.starts(with: "/proc/") && name.count > 6 && name[6] >= 0x30 && name[6] <= 0x39
  }

  static let dot = PathText(".")
  static let deletedMark: StaticString = " (deleted)"
}
