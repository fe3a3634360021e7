import AgentshPolicy
import CLinux
import LinuxSystem
import Seccomp

/// One exec, read once from the caller, its files pinned, everything that it would start decided.
struct PreparedExec: ~Copyable {
  /// As the caller wrote it.
  var raw: String
  /// The file that was named, in the caller's view.
  var canonical: String
  let arguments: ExecArguments
  /// What the new image will find as its arguments: the interpreters of `#!` lines put theirs before.
  var expected: ExecArguments
  /// Keeps the named file's inode from being used again until the exec has been verified.
  let object: FileDescriptor
  /// The interpreter at the end of the `#!` lines; nil: the file itself is the image.
  var interpreter: FileDescriptor?
  var format: ExecFormat
  var decision: Decision
  /// What command rules call `context`.
  let depth: UInt32
  /// What it would start besides `object`.
  var started: [ObjectIdentity] = []
  let entry: ProcessTable.Entry?

  var image: Int32 {
    switch interpreter {
    case .some(let open): open.number
    case .none: object.number
    }
  }
}

enum Preparation: ~Copyable {
  case ready(PreparedExec)
  /// The errno that the kernel would give; nothing was decided.
  case failed(errno: Int32)
  /// Not understood, and so refused and recorded.
  case refused(errno: Int32, canonical: String, reason: String)
  case mustWait
}

/// The named file of one exec call, with the name that the kernel gives to an interpreter.
struct ExecTarget {
  var directory: Int32 = AT_FDCWD
  var flags: Int32 = 0
  var vector: UInt64
  var kernelName: [UInt8] = []
}

extension Mediator {
  private static let knownFlags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW
  private static let eaccess = 0x200  // AT_EACCESS
  private static let unreadableMemory = "the caller's memory could not be read"

  func prepare(_ n: borrowing PendingNotification, _ scratch: inout Scratch) -> Preparation {
    let at = Int(n.call) == Int(SYS_execveat)
    var target = ExecTarget(vector: n.arguments[at ? 2 : 1])
    if at {
      target.directory = n.int(0)
      target.flags = n.int(4)
      guard target.flags & ~Self.knownFlags == 0 else { return .failed(errno: EINVAL) }
    }
    var failed = n.readPath(n.arguments[at ? 1 : 0], into: &scratch.raw)
    scratch.name.removeAll()
    if failed != 0 {
      return failed == EACCES
        ? .refused(errno: EACCES, canonical: "", reason: Self.unreadableMemory) : .failed(errno: failed)
    }
    var arguments = ExecArguments()
    failed = arguments.read(from: n.thread, at: target.vector)
    if failed != 0 {
      return failed == EACCES
        ? .refused(errno: EACCES, canonical: scratch.raw.text, reason: Self.unreadableMemory)
        : .failed(errno: failed)
    }
    guard assume(n, &scratch) else {
      return .refused(
        errno: EACCES, canonical: scratch.raw.text, reason: "the caller's identity could not be taken on")
    }
    target.kernelName = kernelName(scratch.raw, target.directory)
    let called = calledNames(n, target.directory, &scratch)
    switch resolve(n, target, &scratch) {
    case .mustWait: return .mustWait
    case .failed(let errno): return .failed(errno: errno)
    case .object(let object):
      return decideAll(n, &scratch, target, arguments, called, object)
    }
  }

  // MARK: - Names

  /// bprm->interp: the path as given, or a name through the descriptor. `execveat(2)`.
  private func kernelName(_ raw: PathText, _ directory: Int32) -> [UInt8] {
    if directory == AT_FDCWD || !raw.isEmpty && raw[0] == UInt8(ascii: "/") { return Array(raw.bytes) }
    let base = Array("/dev/fd/\(directory)".utf8)
    return raw.isEmpty ? base : base + [UInt8(ascii: "/")] + Array(raw.bytes)
  }

  /// The absolute name as called, and the same with the system's root links (`/bin`) replaced. None where `..` behind
  /// a name makes the text say nothing.
  private func calledNames(
    _ n: borrowing PendingNotification, _ directory: Int32, _ scratch: inout Scratch
  ) -> [[UInt8]] {
    guard !scratch.raw.isEmpty else { return [] }
    let cleaned = clean(n, directory: directory, raw: scratch.raw, name: &scratch.nameOther)
    guard cleaned.errno == 0, !cleaned.needsWalk else { return [] }
    let name = Array(scratch.nameOther.bytes)
    let raw = Array(scratch.raw.bytes)
    return raw.first == UInt8(ascii: "/") && raw != name ? [name, raw] : [name]
  }

  /// The name that the kernel has for a pinned object; a deleted file and a memfd without the mark behind it.
  func canonicalName(_ object: Int32, _ information: stat, _ scratch: inout Scratch) -> [UInt8] {
    if endsInDeleted(scratch.name), information.st_nlink == 0 || !isCalled(scratch.name, information) {
      return Array(scratch.name.bytes.dropLast(" (deleted)".utf8.count))
    }
    return Array(scratch.name.bytes)
  }

  /// Whether an absolute name, from our root on, is the object's: it has others, or this one.
  func isCalled(_ name: PathText, _ information: stat) -> Bool {
    var found = stat()
    let looked =
      name.count == 1
      ? statDescriptor(frame.root, &found)
      : statAt(frame.root, name, from: 1, &found, flags: AT_SYMLINK_NOFOLLOW)
    return looked == 0 && found.st_dev == information.st_dev && found.st_ino == information.st_ino
  }

  // MARK: - Objects

  /// Pins what the call names; the name is in `scratch.name`.
  private func resolve(
    _ n: borrowing PendingNotification, _ target: ExecTarget, _ scratch: inout Scratch
  ) -> Pin {
    if scratch.raw.isEmpty {
      guard target.flags & AT_EMPTY_PATH != 0 else { return .failed(errno: ENOENT) }
      let opened =
        target.directory == AT_FDCWD
        ? -Int(EACCES) : ProcPath(n.thread, "fd", target.directory).open(flags: O_PATH | O_CLOEXEC)
      guard opened >= 0 else {
        return .failed(errno: opened == -Int(ENOENT) ? EBADF : Int32(truncatingIfNeeded: -opened))
      }
      let object = FileDescriptor(owning: Int32(opened))
      let errno = nameOfDescriptor(object.number, of: n.thread, into: &scratch.name)
      if errno != 0 { return .failed(errno: errno) }
      if !scratch.mayBlock, frame.isRemote(scratch.name) { return .mustWait }
      return .object(object)
    }
    let follow = target.flags & AT_SYMLINK_NOFOLLOW == 0
    return pin(
      n, directory: target.directory, raw: scratch.raw, follow: follow, name: &scratch.name,
      mayBlock: scratch.mayBlock)
  }

  /// Returns 0 when the kernel would try to start this file for the caller.
  func startable(_ object: Int32, _ information: inout stat) -> Int32 {
    guard statDescriptor(object, &information) == 0 else { return EACCES }
    switch FileType(mode: information.st_mode) {
    case .regular: break
    case .link: return ELOOP
    default: return EACCES
    }
    return mayAccess(object, X_OK) ? 0 : EACCES
  }

  func isReadable(object: Int32) -> Bool { mayAccess(object, R_OK) }

  private func mayAccess(_ object: Int32, _ mode: Int32) -> Bool {
    Self.noName.withAddress {
      rawCall(Int(SYS_faccessat2), Int(object), $0, Int(mode), Int(AT_EMPTY_PATH) | Self.eaccess)
    } == 0
  }

  private static let noName = PathText()
}
