import CLinux
package import LinuxSystem

/// Directories that only their owner can change, made or checked before anything is put there.
package enum PrivateDirectory {
  /// Opens `path`, making it and what is missing above it (0700), and checks what was opened, not the name.
  ///
  /// The last component is never followed when it is a symbolic link. A directory of the right owner that others may
  /// only read is set to `mode`; one that others may write is refused, because of what may be in it. Every directory
  /// above must belong to root or `uid`, and others may write there only under the sticky bit.
  /// - Parameters:
  ///   - path: absolute.
  ///   - uid: who must own it; also the caller, where the directory has to be made.
  ///   - mode: 0700, or 0755 for the system's runtime directory.
  /// - Returns: a descriptor (O_PATH is not set) that holds the directory; the caller owns it.
  /// - Throws: `PrivateDirectoryError`; `.unsafe` means that somebody else was there first.
  ///
  /// `mkdir(2)`, `openat(2)`, `fstat(2)`.
  package static func open(
    _ path: String, ownedBy uid: UInt32, mode: UInt32 = 0o700
  ) throws(PrivateDirectoryError) -> FileDescriptor {
    guard path.begins(with: "/"), !path.utf8.contains(0) else { throw .notAbsolute(path) }
    let names = path.pathNames
    guard !names.isEmpty, !names.contains(".."), !names.contains(".") else { throw .notAbsolute(path) }
    let directory: FileDescriptor
    if let found = try openIfThere(path, names) {
      directory = found
    } else {
      try makeMissing(names, mode: mode)
      guard let made = try openIfThere(path, names) else {
        throw .failed(path, SystemCallError("open", ENOENT))
      }
      directory = made
    }
    try checkSelf(directory, path, uid, mode)
    try checkAncestors(of: directory, path, uid)
    return directory
  }

  private static func openIfThere(
    _ path: String, _ names: [String]
  ) throws(PrivateDirectoryError) -> FileDescriptor? {
    do throws(SystemCallError) {
      return try openDirectory(at: AT_FDCWD, names.reduce("") { $0 + "/" + $1 }, flags: O_NOFOLLOW)
    } catch {
      if error.errno == ENOENT { return nil }
      // ELOOP or ENOTDIR: a link or a file stands there.
      if error.errno == ELOOP || error.errno == ENOTDIR { throw .unsafe(path, .notADirectory) }
      throw .failed(path, error)
    }
  }

  private static func makeMissing(_ names: [String], mode: UInt32) throws(PrivateDirectoryError) {
    var path = ""
    for (index, name) in names.enumerated() {
      path += "/" + name
      let wanted = index == names.count - 1 ? mode : 0o700
      var text = Array(path.utf8CString)
      let result = unsafe text.withUnsafeMutableBufferPointer { buffer in
        // SAFETY: the string is closed by a zero and lives through the call.
        rawCall(Int(SYS_mkdirat), Int(AT_FDCWD), kernelAddress(buffer.baseAddress), Int(wanted))
      }
      // What is there already is looked at when it is opened; a parent that may not be written reports itself next.
      guard result == 0 || result == -Int(EEXIST) || index < names.count - 1 else {
        throw .failed(path, SystemCallError("mkdir", Int32(truncatingIfNeeded: -result)))
      }
    }
  }

  private static func checkSelf(
    _ directory: borrowing FileDescriptor, _ path: String, _ uid: UInt32, _ mode: UInt32
  ) throws(PrivateDirectoryError) {
    let status = try status(of: directory, path)
    guard status.st_uid == uid else { throw .unsafe(path, .owner(status.st_uid)) }
    guard status.st_mode & 0o022 == 0 else { throw .unsafe(path, .writable(status.st_mode & 0o7777)) }
    guard status.st_mode & 0o7777 != mode else { return }
    let result = rawCall(Int(SYS_fchmod), Int(directory.number), Int(mode))
    do throws(SystemCallError) { try check("fchmod", result) } catch { throw .failed(path, error) }
  }

  /// Goes up by `..` from the held directory itself, so that links in the name do not matter.
  private static func checkAncestors(
    of directory: borrowing FileDescriptor, _ path: String, _ uid: UInt32
  ) throws(PrivateDirectoryError) {
    do throws(SystemCallError) {
      var here = try openDirectory(at: directory.number, "..", flags: O_PATH)
      // A path has at most 4096 bytes; the root is its own parent.
      for _ in 0..<4096 {
        let status = try fileStatus(here)
        guard status.st_uid == uid || status.st_uid == 0 else { throw SystemCallError("owner", EACCES) }
        guard isSafelyWritable(status) else { throw SystemCallError("mode", EACCES) }
        let above = try openDirectory(at: here.number, "..", flags: O_PATH)
        let next = try fileStatus(above)
        if next.st_ino == status.st_ino, next.st_dev == status.st_dev { return }
        here = above
      }
    } catch {
      if error.errno == EACCES, error.call == "owner" || error.call == "mode" {
        throw .unsafe(path, .ancestor)
      }
      throw .failed(path, error)
    }
  }

  /// Group write counts as private where the group is the owner's own (Debian gives it the owner's number) or root's.
  private static func isSafelyWritable(_ status: stat) -> Bool {
    if status.st_mode & UInt32(S_ISVTX) != 0 { return true }
    if status.st_mode & 0o002 != 0 { return false }
    return status.st_mode & 0o020 == 0 || status.st_gid == status.st_uid || status.st_gid == 0
  }

  private static func status(
    of directory: borrowing FileDescriptor, _ path: String
  ) throws(PrivateDirectoryError) -> stat {
    do throws(SystemCallError) { return try fileStatus(directory) } catch { throw .failed(path, error) }
  }
}

/// Why a directory is not used.
package enum PrivateDirectoryError: Error, Equatable, Sendable, CustomStringConvertible {
  case notAbsolute(String)
  case failed(String, SystemCallError)
  case unsafe(String, Reason)

  package enum Reason: Equatable, Sendable { case notADirectory, owner(UInt32), writable(UInt32), ancestor }

  package var description: String {
    switch self {
    case .notAbsolute(let path): "not a plain absolute path: \"\(path)\""
    case .failed(let path, let error): "\(path): \(error)"
    case .unsafe(let path, .notADirectory):
      "\(path) is not a directory (a link or a file stands there; remove it)"
    case .unsafe(let path, .owner(let uid)): "\(path) belongs to uid \(uid) (somebody else made it)"
    case .unsafe(let path, .writable(let mode)):
      "\(path) can be written by others, mode \(String(mode, radix: 8)) (remove it, or chmod 700 after a look inside)"
    case .unsafe(let path, .ancestor):
      "a directory above \(path) belongs to or can be written by somebody else"
    }
  }
}
