import AgentshPolicy
import CLinux
import LinuxSystem
import Seccomp

// Opens that end in a place, not in a thing that has its name already: what does not exist yet, what never gets a name
// (O_TMPFILE), and what the kernel finds by other rules than a path's (openat2's RESOLVE_BENEATH and its like).
//
// The race: the directory is pinned, the decision is on its name and the last component, and that is created there and
// nowhere else; or the kernel's find is pinned, and decided on and opened by the pin.

extension Mediator {
  /// The last component is not there: created, or ENOENT, as the caller may know.
  func openMissing(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let found = createPlace(notification, request, &scratch)
    switch consume found {
    case .mustWait: handOver(notification)
    case .failed(let errno): fail(notification, request, errno, &scratch, started)
    case .parent(let parent, let leaf):
      let operation: FileOperation = request.creates ? .create : request.writes ? .write : .open
      let decision = settle(
        scratch.decider.decide(operation, scratch.name), operation, details: request.details, &scratch)
      guard decision.permits else {
        finish(notification, request, decision, operation, -Int(EACCES), &scratch, started)
        return
      }
      guard request.creates else {
        finish(notification, request, decision, operation, -Int(ENOENT), &scratch, started)
        return
      }
      if !notification.isAlive() { return }
      // O_EXCL: what was decided is a creation. When somebody else was first, it is decided anew as what is there.
      let opened = openAt2(
        parent.number, scratch.name, from: leaf,
        flags: request.actedFlags(mayBlock: true) | UInt64(O_EXCL), mode: request.mode,
        resolve: UInt64(RESOLVE_NO_SYMLINKS))
      if opened == -Int(EEXIST), !request.exclusive {
        handOver(notification)
        return
      }
      finish(notification, request, decision, operation, opened, &scratch, started)
    }
  }

  /// The place of a name that does not exist, its links followed: a dangling link creates its target.
  private func createPlace(
    _ notification: borrowing PendingNotification, _ request: OpenRequest, _ scratch: inout Scratch
  ) -> Place {
    scratch.spare = scratch.raw
    for _ in 0..<40 {
      let found = place(
        notification, directory: request.directory, raw: scratch.spare, name: &scratch.name,
        mayBlock: scratch.mayBlock)
      guard case .parent(let parent, let leaf) = consume found else {
        return place(
          notification, directory: request.directory, raw: scratch.spare, name: &scratch.name,
          mayBlock: scratch.mayBlock)
      }
      if request.creates, request.exclusive || request.noFollow { return .parent(parent, leafStart: leaf) }
      var leafName = PathText()
      leafName.append(scratch.name, from: leaf)
      let length = readLinkAt(parent.number, leafName, into: &scratch.text)
      if length < 0 { return .parent(parent, leafStart: leaf) }
      // The link's target, absolute or relative to the link's directory.
      if scratch.text.starts(with: "/") {
        scratch.spare = scratch.text
      } else {
        scratch.spare.truncate(to: leafStart(scratch.spare))
        scratch.spare.append(scratch.text)
      }
    }
    return .failed(errno: ELOOP)
  }

  /// O_TMPFILE: decided as creating and writing a name inside the directory.
  func openTemporary(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let pinned = pin(
      notification, directory: request.directory, raw: scratch.raw, follow: true, name: &scratch.name,
      mayBlock: scratch.mayBlock)
    switch consume pinned {
    case .mustWait: handOver(notification)
    case .failed(let errno): fail(notification, request, errno, &scratch, started)
    case .object(let directory):
      let length = scratch.name.count
      scratch.name.append("/#unnamed".utf8)
      let decided = scratch.decider.decideAll(
        [FileOperations(.create), FileOperations(.write)], scratch.name)
      scratch.name.truncate(to: length)
      let decision = settle(decided, .create, details: request.details, &scratch)
      guard decision.permits else {
        finish(notification, request, decision, .create, -Int(EACCES), &scratch, started)
        return
      }
      if !notification.isAlive() { return }
      let opened = openAt2(
        directory.number, Mediator.dot, flags: request.flags | UInt64(O_CLOEXEC), mode: request.mode,
        resolve: UInt64(RESOLVE_NO_SYMLINKS))
      finish(notification, request, decision, .create, opened, &scratch, started)
    }
  }

  /// openat2 with RESOLVE_BENEATH, IN_ROOT, NO_XDEV or CACHED: the kernel resolves, from the caller's directory and
  /// by its own rules, to a pin; the pin's name is decided on and the pin is opened.
  func openConfined(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    guard scratch.mayBlock else {
      handOver(notification)
      return
    }
    let base =
      request.directory == AT_FDCWD
      ? ProcPath(notification.thread, "cwd").open(flags: O_PATH | O_CLOEXEC)
      : ProcPath(notification.thread, "fd", request.directory).open(flags: O_PATH | O_CLOEXEC)
    guard base >= 0 else {
      notification.fail(EBADF)
      return
    }
    let directory = FileDescriptor(owning: Int32(base))
    let noFollow = request.flags & UInt64(O_NOFOLLOW | O_DIRECTORY)
    let pinned = openAt2(
      directory.number, scratch.raw, flags: UInt64(O_PATH | O_CLOEXEC) | noFollow, resolve: request.resolve)
    if pinned >= 0 {
      let object = FileDescriptor(owning: Int32(pinned))
      let failed = nameOfDescriptor(object.number, of: notification.thread, into: &scratch.name)
      if failed != 0 || touchesProcess(scratch.name) {
        notification.fail(failed != 0 ? failed : EACCES)
        return
      }
      openPinned(notification, request, object, &scratch, started)
      return
    }
    guard pinned == -Int(ENOENT), request.creates else {
      fail(notification, request, Int32(truncatingIfNeeded: -pinned), &scratch, started)
      return
    }
    // A new name: its directory is resolved the same way, the leaf is created there and nowhere else.
    scratch.spare = scratch.raw
    let leaf = leafStart(scratch.spare)
    scratch.spare.truncate(to: leaf)
    if scratch.spare.isEmpty { scratch.spare.append(UInt8(ascii: ".")) }
    let parent = openAt2(
      directory.number, scratch.spare, flags: UInt64(O_PATH | O_CLOEXEC | O_DIRECTORY),
      resolve: request.resolve)
    guard parent >= 0 else {
      fail(notification, request, Int32(truncatingIfNeeded: -parent), &scratch, started)
      return
    }
    let holder = FileDescriptor(owning: Int32(parent))
    guard nameOfDescriptor(holder.number, of: notification.thread, into: &scratch.name) == 0 else {
      notification.fail(EACCES)
      return
    }
    scratch.name.append(UInt8(ascii: "/"))
    scratch.name.append(scratch.raw, from: leaf)
    let decision = settle(
      scratch.decider.decide(.create, scratch.name), .create, details: request.details, &scratch)
    guard decision.permits, notification.isAlive() else {
      finish(notification, request, decision, .create, -Int(EACCES), &scratch, started)
      return
    }
    let opened = openAt2(
      holder.number, scratch.raw, from: leaf, flags: request.actedFlags(mayBlock: true) | UInt64(O_EXCL),
      mode: request.mode, resolve: UInt64(RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH))
    finish(notification, request, decision, .create, opened, &scratch, started)
  }
}
