import CLinux
package import LinuxSystem

/// What the supervisor knows of the world that its callers live in, found once at the start.
package struct Frame: Sendable {
  /// O_PATH of the root directory that all of the tree shares (chroot and mount namespaces are refused inside).
  package let root: Int32
  package let ownerUID: UInt32
  package let ownerGID: UInt32
  package let ownPid: Int32
  /// pid of the launcher, later the agent.
  package let target: Int32
  /// Descriptor of the launcher's controlling terminal, if it was handed over.
  package let tty: Int32?
  /// `/bin` and its like, where it is a link to `usr/bin` that only root can change.
  package let rootLinks: [PathText]
  /// Where file systems begin whose server may be slow or supervised itself (FUSE, NFS …).
  package let remoteMounts: [PathText]

  package enum Failure: Error, Equatable, Sendable {
    case root(errno: Int32)
    /// The tree's root is not the supervisor's: another mount namespace or a chroot.
    case anotherRoot
    case mounts(errno: Int32)
  }

  package init(target: Int32, tty: Int32?) throws(Failure) {
    let opened = openAt(-1, PathText("/"), flags: O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw .root(errno: Int32(-opened)) }
    root = Int32(opened)
    ownerUID = currentUser()
    ownerGID = currentGroup()
    ownPid = currentProcess()
    self.target = target
    self.tty = tty
    guard Self.sharesRoot(with: target) else { throw .anotherRoot }
    rootLinks = Self.findRootLinks(root)
    remoteMounts = try Self.findRemoteMounts()
  }

  /// Whether /proc/PID/root is our root: same device, same inode, same mount namespace.
  private static func sharesRoot(with pid: Int32) -> Bool {
    var ours = stat()
    var theirs = stat()
    guard statAt(-1, PathText("/"), &ours, flags: 0) == 0,
      statAt(-1, PathText("/proc/\(pid)/root"), &theirs, flags: 0) == 0,
      ours.st_dev == theirs.st_dev, ours.st_ino == theirs.st_ino,
      statAt(-1, PathText("/proc/self/ns/mnt"), &ours, flags: 0) == 0,
      statAt(-1, PathText("/proc/\(pid)/ns/mnt"), &theirs, flags: 0) == 0
    else { return false }
    return ours.st_ino == theirs.st_ino
  }

  /// A root-level link counts when root owns it and nobody else writes to `/`.
  private static func findRootLinks(_ root: Int32) -> [PathText] {
    var found: [PathText] = []
    var information = stat()
    guard statDescriptor(root, &information) == 0, information.st_uid == 0, information.st_mode & 0o022 == 0
    else { return [] }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
      var target = PathText()
      guard statAt(root, PathText(name), &information, flags: AT_SYMLINK_NOFOLLOW) == 0,
        FileType(mode: information.st_mode) == .link, information.st_uid == 0,
        readLinkAt(root, PathText(name), into: &target) > 0, target.text == "usr/\(name)"
      else { continue }
      found.append(PathText("/" + name))
    }
    return found
  }

  private static let remoteTypes: Set<String> = [
    "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "autofs", "glusterfs", "lustre", "ocfs2", "gfs2",
    "orangefs",
    "virtiofs", "coda",
  ]

  /// `proc_pid_mountinfo(5)`: fields before " - " are counted, the type comes first after it.
  private static func findRemoteMounts() throws(Failure) -> [PathText] {
    let text: String
    switch readAll("/proc/self/mountinfo", limit: 1 << 22) {
    case .success(let bytes): text = String(decoding: bytes, as: UTF8.self)
    case .failure(let error): throw .mounts(errno: error.errno)
    }
    var found: [PathText] = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let dash = words.firstIndex(of: "-"), dash + 1 < words.count, words.count > 4 else { continue }
      let type = String(words[dash + 1])
      if remoteTypes.contains(type) || type.hasPrefix("fuse") { found.append(PathText(unescaped(words[4]))) }
    }
    return found
  }

  /// mountinfo writes blank, tab, newline and backslash as three octal digits.
  private static func unescaped(_ word: Substring) -> [UInt8] {
    var out: [UInt8] = []
    let bytes = Array(word.utf8)
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count {
        out.append((bytes[index + 1] & 7) << 6 | (bytes[index + 2] & 7) << 3 | (bytes[index + 3] & 7))
        index += 4
      } else {
        out.append(bytes[index])
        index += 1
      }
    }
    return out
  }

  /// Whether the name lies on a file system that may keep its caller waiting.
  package func isRemote(_ name: PathText) -> Bool {
    remoteMounts.contains { mount in
      guard name.count >= mount.count else { return false }
      for index in 0..<mount.count where name[index] != mount[index] { return false }
      return name.count == mount.count || mount.count == 1 || name[mount.count] == UInt8(ascii: "/")
    }
  }
}
