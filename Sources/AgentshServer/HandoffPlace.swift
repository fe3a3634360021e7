import AgentshSession
import CLinux
package import LinuxSystem

/// What a hand-off socket takes. One loop serves all three; they differ in their frame and in what they start.
package enum HandoffKind: String, CaseIterable, Sendable {
  /// The listener of all that is decided.
  case notify
  /// A listener of its own for signals. Ours has them in the first, so `wrap-init` offers none.
  case signal
  /// No listener: the pid of a process to be traced.
  case ptrace

  var socketName: String { rawValue + ".sock" }
  /// Whether the client waits for a status byte.
  var isAnswered: Bool { self != .signal }
}

/// One launch's directory with its sockets, below a parent that only we can write to, under a name that nobody guesses.
///
/// Directory 0700 and socket 0600, both the caller's. Where we cannot give files away (no CAP_CHOWN) or were told no
/// uid they stay ours with 0711 and 0666, and `SO_PEERCRED` alone keeps others out.
package struct HandoffPlace: ~Copyable, Sendable {
  /// Absolute path of the directory.
  package let path: String
  package let isShared: Bool
  private let listeners: [HandoffKind: SharedDescriptor]
  private let name: String
  private let parent: FileDescriptor
  private let directory: FileDescriptor

  /// Made, then checked on the held descriptors and by the names that clients will use; nobody can connect before
  /// that. What fails leaves nothing behind. Throws ENAMETOOLONG, EEXIST, EPERM where the check fails.
  ///
  /// `owner`: nil where the caller's uid is not known. `mayGive`: whether to try to give files away at all.
  /// `meanwhile`: called between making and checking, for tests. `mkdirat(2)`, `bind(2)`, `fchownat(2)`, `fstat(2)`
  package init(
    below parentPath: String, owner: (uid: UInt32, gid: UInt32)?, kinds: [HandoffKind],
    name: String = hex(randomBytes(12)), mayGive: Bool = true, meanwhile: (String) -> Void = { _ in }
  ) throws(SystemCallError) {
    let parent = try Self.openParent(parentPath)
    let path = parentPath + "/" + name
    for kind in kinds where (path + "/" + kind.socketName).utf8.count > 107 {
      throw SystemCallError("bind", ENAMETOOLONG)
    }
    try check("mkdir", mkdirAt(parent.number, PathText(name), mode: 0o700))
    var made = Made(owner: owner)
    do throws(SystemCallError) {
      made.directory = try Self.openDirectory(parent.number, name)
      made.gives = mayGive && owner != nil
      try made.makeSockets(kinds)
      meanwhile(path)
      try made.check(path)
      for socket in made.sockets {
        try LinuxSystem.check("listen", rawCall(Int(SYS_listen), Int(socket.listener.number), 4096))
      }
    } catch {
      Self.remove(parent.number, name, made.directory)
      closeDescriptor(made.directory)
      throw error
    }
    self.path = path
    self.name = name
    isShared = !made.gives
    listeners = Dictionary(made.sockets.map { ($0.kind, $0.listener) }, uniquingKeysWith: { a, _ in a })
    self.parent = parent
    directory = FileDescriptor(owning: made.directory)
  }

  package func socketPath(_ kind: HandoffKind) -> String { path + "/" + kind.socketName }
  package func listener(_ kind: HandoffKind) -> SharedDescriptor? { listeners[kind] }

  /// Takes everything away; listeners close with their last holder.
  package consuming func remove() { Self.remove(parent.number, name, directory.number) }

  /// What a daemon before us left. Ours to remove: whoever holds the daemon's lock is alone.
  static func removeAll(below parentPath: String) {
    guard let parent = try? openParent(parentPath) else { return }
    for name in directoryNames(parentPath) {
      let opened = try? openDirectory(parent.number, name)
      remove(parent.number, name, opened ?? -1)
      if let opened { closeDescriptor(opened) }
    }
  }

  /// A directory of ours in which nobody else can put a name.
  private static func openParent(_ path: String) throws(SystemCallError) -> FileDescriptor {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    let parent = FileDescriptor(
      owning: Int32(try check("open", openAt(AT_FDCWD, PathText(path), flags: flags))))
    var status = stat()
    try check("fstat", statDescriptor(parent.number, &status))
    guard status.st_uid == currentUser(), status.st_mode & 0o022 == 0 else {
      throw SystemCallError("fstat", EPERM)
    }
    return parent
  }

  private static func openDirectory(_ parent: Int32, _ name: String) throws(SystemCallError) -> Int32 {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    return Int32(try check("open", openAt(parent, PathText(name), flags: flags)))
  }

  /// The directory may be the caller's by now, who may have put anything there: links are not followed, and the work
  /// is bounded. `directory`: negative where it could not be opened.
  private static func remove(_ parent: Int32, _ name: String, _ directory: Int32) {
    var budget = 10_000
    if directory >= 0 { empty(directory, &budget, depth: 0) }
    if unlinkAt(parent, PathText(name), flags: AT_REMOVEDIR) == -Int(ENOTDIR) {
      _ = unlinkAt(parent, PathText(name), flags: 0)
    }
  }

  private static func empty(_ directory: Int32, _ budget: inout Int, depth: Int) {
    for name in directoryNames("/proc/self/fd/\(directory)") where budget > 0 {
      budget -= 1
      if unlinkAt(directory, PathText(name), flags: 0) != -Int(EISDIR) { continue }
      if depth < 32, let below = try? openDirectory(directory, name) {
        empty(below, &budget, depth: depth + 1)
        closeDescriptor(below)
      }
      _ = unlinkAt(directory, PathText(name), flags: AT_REMOVEDIR)
    }
  }
}

/// Directory and sockets while they are made.
private struct Made {
  struct Socket {
    let kind: HandoffKind
    let listener: SharedDescriptor
    /// O_PATH: the socket's file itself, whatever its name leads to later.
    let file: SharedDescriptor
  }
  let owner: (uid: UInt32, gid: UInt32)?
  var directory: Int32 = -1
  var gives = false
  var sockets: [Socket] = []

  init(owner: (uid: UInt32, gid: UInt32)?) { self.owner = owner }

  mutating func makeSockets(_ kinds: [HandoffKind]) throws(SystemCallError) {
    for kind in kinds { sockets.append(try make(kind)) }
    // The sockets first: once the directory is the caller's, the names in it are too.
    for socket in sockets where gives { gives = try give(socket.file.number) }
    for socket in sockets { try setMode(socket.file.number, gives ? 0o600 : 0o666) }
    if gives { gives = try give(directory) }
    try setMode(directory, gives ? 0o700 : 0o711)
  }

  /// Bound through the held directory, so that no name on the way counts. `/proc/net/unix` shows the name given here,
  /// which leads nowhere for others.
  private func make(_ kind: HandoffKind) throws(SystemCallError) -> Socket {
    let listener = try ServerSocket.bind(at: "/proc/self/fd/\(directory)/\(kind.socketName)")
    let flags = O_PATH | O_NOFOLLOW | O_CLOEXEC
    let file = try LinuxSystem.check("open", openAt(directory, PathText(kind.socketName), flags: flags))
    return Socket(
      kind: kind, listener: SharedDescriptor(listener),
      file: SharedDescriptor(FileDescriptor(owning: Int32(file))))
  }

  /// False where we may not: without CAP_CHOWN only what is ours already is the caller's.
  private func give(_ file: Int32) throws(SystemCallError) -> Bool {
    guard let owner else { return false }
    if owner.uid == currentUser() { return true }
    let result = PathText("").withAddress {
      rawCall(Int(SYS_fchownat), Int(file), $0, Int(owner.uid), Int(owner.gid), Int(AT_EMPTY_PATH))
    }
    if result == -Int(EPERM) { return false }
    try LinuxSystem.check("chown", result)
    return true
  }

  /// Also of what is open as O_PATH, which fchmod(2) refuses.
  private func setMode(_ file: Int32, _ mode: Int) throws(SystemCallError) {
    let result = PathText("/proc/self/fd/\(file)").withAddress {
      rawCall(Int(SYS_fchmodat), Int(AT_FDCWD), $0, mode)
    }
    try LinuxSystem.check("chmod", result)
  }

  /// Type, owner and mode of what we hold, and that the names lead there without a link.
  func check(_ path: String) throws(SystemCallError) {
    let uid = gives ? owner?.uid ?? currentUser() : currentUser()
    try check(directory, path, .directory, gives ? 0o700 : 0o711, uid)
    for socket in sockets {
      try check(
        socket.file.number, path + "/" + socket.kind.socketName, .socket, gives ? 0o600 : 0o666, uid)
    }
  }

  private func check(
    _ file: Int32, _ path: String, _ type: FileType, _ mode: UInt32, _ uid: UInt32
  ) throws(SystemCallError) {
    var held = stat()
    try LinuxSystem.check("fstat", statDescriptor(file, &held))
    guard FileType(mode: held.st_mode) == type, held.st_mode & 0o7777 == mode, held.st_uid == uid else {
      throw SystemCallError("fstat", EPERM)
    }
    var named = stat()
    try LinuxSystem.check("lstat", statAt(AT_FDCWD, PathText(path), &named, flags: AT_SYMLINK_NOFOLLOW))
    guard named.st_ino == held.st_ino, named.st_dev == held.st_dev else {
      throw SystemCallError("lstat", EPERM)
    }
  }
}
