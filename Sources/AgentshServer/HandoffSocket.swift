import AgentshSession
import CLinux
import LinuxSystem

/// The socket that takes one launch's listener: in a directory of its own with a name that nobody guesses, open to the
/// caller alone.
struct HandoffSocket: ~Copyable {
  let directory: String
  let path: String
  let listener: FileDescriptor

  /// Directory 0700 and socket 0600, both the caller's; checked before anybody is told the name. What fails leaves
  /// nothing behind. Throws ENAMETOOLONG, EPERM without CAP_CHOWN for another user's. `mkdir(2)`, `chown(2)`
  init(below parent: String, owner: (uid: UInt32, gid: UInt32)) throws(SystemCallError) {
    let directory = parent + "/" + hex(randomBytes(12))
    let path = directory + "/notify.sock"
    let made: Int32
    do throws(SystemCallError) {
      try check("mkdir", mkdirAt(AT_FDCWD, PathText(directory), mode: 0o700))
      made = try Self.makeSocket(path, directory, owner).release()
    } catch {
      Self.remove(directory, path)
      throw error
    }
    self.directory = directory
    self.path = path
    listener = FileDescriptor(owning: made)
  }

  private static func makeSocket(
    _ path: String, _ directory: String, _ owner: (uid: UInt32, gid: UInt32)
  ) throws(SystemCallError) -> FileDescriptor {
    let socket = try ServerSocket.listen(at: path, mode: 0o600)
    if owner.uid != currentUser() {
      // The socket first: once the directory is the caller's, the name in it is too.
      try changeOwner(path, owner)
      try changeOwner(directory, owner)
    }
    try verify(directory, .directory, 0o700, owner.uid)
    try verify(path, .socket, 0o600, owner.uid)
    return socket
  }

  private static func changeOwner(_ path: String, _ owner: (uid: UInt32, gid: UInt32)) throws(SystemCallError)
  {
    let result = PathText(path).withAddress {
      rawCall(Int(SYS_fchownat), Int(AT_FDCWD), $0, Int(owner.uid), Int(owner.gid), Int(AT_SYMLINK_NOFOLLOW))
    }
    try check("chown", result)
  }

  private static func verify(
    _ path: String, _ type: FileType, _ mode: UInt32, _ uid: UInt32
  ) throws(SystemCallError) {
    var status = stat()
    try check("lstat", statAt(AT_FDCWD, PathText(path), &status, flags: AT_SYMLINK_NOFOLLOW))
    guard FileType(mode: status.st_mode) == type, status.st_mode & 0o7777 == mode, status.st_uid == uid else {
      throw SystemCallError("lstat", EPERM)
    }
  }

  /// Takes socket and directory away; the listener closes with the value.
  consuming func remove() { Self.remove(directory, path) }

  private static func remove(_ directory: String, _ path: String) {
    _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
    _ = unlinkAt(AT_FDCWD, PathText(directory), flags: AT_REMOVEDIR)
  }

  /// What a daemon before us left. Ours to remove: whoever holds the daemon's lock is alone.
  static func removeAll(below parent: String) {
    for name in directoryNames(parent) { remove(parent + "/" + name, parent + "/" + name + "/notify.sock") }
  }
}
