import AgentshPolicy
import CLinux
import LinuxSystem
import Seccomp

/// The arguments of one open, copied.
struct OpenRequest {
  var directory: Int32 = AT_FDCWD
  var flags: UInt64 = 0
  var mode: UInt64 = 0
  var resolve: UInt64 = 0

  var writes: Bool { flags & UInt64(O_ACCMODE) != UInt64(O_RDONLY) || truncates }
  var reads: Bool { flags & UInt64(O_ACCMODE) != UInt64(O_WRONLY) }
  var creates: Bool { flags & UInt64(O_CREAT) != 0 && !isPath }
  var truncates: Bool { flags & UInt64(O_TRUNC) != 0 && !isPath }
  var exclusive: Bool { flags & UInt64(O_EXCL) != 0 }
  var isPath: Bool { flags & UInt64(O_PATH) != 0 }
  var isTemporary: Bool { flags & UInt64(O_TMPFILE) == UInt64(O_TMPFILE) && !isPath }
  var nonBlocking: Bool { flags & UInt64(O_NONBLOCK) != 0 }
  var noFollow: Bool { flags & UInt64(O_NOFOLLOW) != 0 }
  var closeOnExec: Bool { flags & UInt64(O_CLOEXEC) != 0 }

  /// What else is approved with it.
  var details: [UInt64] { [flags, mode, resolve] }

  /// What is decided on where there is something.
  var operations: FileOperations {
    // `insert` and its like are not specialized in other modules, and take a part of a microsecond each.
    var asked: UInt32 = 0
    if reads { asked |= FileOperations(.open).rawValue }
    if writes { asked |= FileOperations(.write).rawValue }
    return FileOperations(rawValue: asked)
  }

  /// What the kernel gets for our own open: never a terminal of ours, never waiting on the receiver.
  func actedFlags(mayBlock: Bool) -> UInt64 {
    var acted = flags | UInt64(O_CLOEXEC)
    if !isPath {
      acted |= UInt64(O_NOCTTY)
      if !mayBlock { acted |= UInt64(O_NONBLOCK) }
    }
    return acted
  }

  /// The flags of an opened description that F_SETFL sets: the caller's, without our O_NONBLOCK.
  var statusFlags: Int { Int(flags & UInt64(O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK)) }
}

extension Mediator {
  private static let knownFlags = UInt64(
    O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | O_ASYNC | O_DIRECT
      | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_SYNC | O_PATH | O_TMPFILE)

  /// Copies the arguments. openat ignores flags that it does not know; openat2 refuses them, and gets them as given.
  func readOpen(
    _ notification: borrowing PendingNotification, _ scratch: inout Scratch, _ request: inout OpenRequest
  ) -> Int32 {
    let arguments = notification.arguments
    switch Int(notification.call) {
    case Int(SYS_creat):
      request.flags = UInt64(O_CREAT | O_WRONLY | O_TRUNC)
      request.mode = arguments[1]
      return normalize(&request, notification.readPath(arguments[0], into: &scratch.raw))
    case Int(SYS_open):
      request.flags = UInt64(UInt32(truncatingIfNeeded: arguments[1]))
      request.mode = arguments[2]
      return normalize(&request, notification.readPath(arguments[0], into: &scratch.raw))
    case Int(SYS_openat):
      request.directory = notification.int(0)
      request.flags = UInt64(UInt32(truncatingIfNeeded: arguments[2]))
      request.mode = arguments[3]
      return normalize(&request, notification.readPath(arguments[1], into: &scratch.raw))
    default:
      let failed = notification.readStructure(
        arguments[2], size: arguments[3], known: 24, into: &scratch.text)
      if failed != 0 { return failed }
      request.directory = notification.int(0)
      request.flags = scratch.text.number(at: 0)
      request.mode = scratch.text.number(at: 8)
      request.resolve = scratch.text.number(at: 16)
      guard isValid(request) else { return EINVAL }
      return notification.readPath(arguments[1], into: &scratch.raw)
    }
  }

  /// What openat2 refuses before it looks at the path. `openat2(2)`
  private func isValid(_ request: OpenRequest) -> Bool {
    let knownResolve = UInt64(
      RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT
        | RESOLVE_CACHED)
    guard request.flags & ~(Self.knownFlags | 0o100000) == 0, request.resolve & ~knownResolve == 0,
      request.mode & ~0o7777 == 0
    else { return false }
    return request.mode == 0 || request.creates || request.isTemporary
  }

  private func normalize(_ request: inout OpenRequest, _ errno: Int32) -> Int32 {
    request.flags &= Self.knownFlags
    if request.isPath {
      request.flags &= UInt64(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    request.mode = request.creates || request.isTemporary ? request.mode & 0o7777 : 0
    return errno
  }
}
