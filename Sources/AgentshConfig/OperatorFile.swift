import CLinux
import LinuxSystem

/// Files and directories by which the operator binds others: nobody but root may be able to change what they say.
package enum OperatorFile {
  /// Why `path` is not the operator's alone; nil when it is, or when it does not exist.
  ///
  /// What it leads to, and every directory above it (of the name given and of the real one), must be root's; others may
  /// write to a directory above only under the sticky bit. `stat(2)`
  package static func objection(to path: String) -> String? {
    let opened = openAt(AT_FDCWD, PathText(path), flags: O_PATH | O_CLOEXEC)
    if opened == -Int(ENOENT) { return nil }
    guard opened >= 0 else { return "\(path) cannot be looked at: \(errnoText(Int32(-opened)))" }
    let file = FileDescriptor(owning: Int32(opened))
    var target = PathText()
    guard readLinkAt(AT_FDCWD, PathText("/proc/self/fd/\(file.number)"), into: &target) > 0 else {
      return "\(path): its real name cannot be found"
    }
    if let objection = objection(to: path, mayBeSticky: false) { return objection }
    for directory in [path, target.text].flatMap({ $0.upwards.dropFirst().reversed() }) {
      if let objection = objection(to: directory, mayBeSticky: true) { return objection }
    }
    return nil
  }

  private static func objection(to path: String, mayBeSticky: Bool) -> String? {
    var status = stat()
    guard statAt(AT_FDCWD, PathText(path), &status, flags: 0) == 0 else {
      return "\(path) cannot be looked at"
    }
    guard status.st_uid == 0 else { return "\(path) belongs to uid \(status.st_uid), not to root" }
    if mayBeSticky, status.st_mode & UInt32(S_ISVTX) != 0 { return nil }
    let others = status.st_mode & 0o002 != 0
    let group = status.st_mode & 0o020 != 0 && status.st_gid != 0
    return others || group ? "\(path) can be written by others than root" : nil
  }
}
