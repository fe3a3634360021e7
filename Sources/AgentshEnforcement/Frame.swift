import CLinux
package import LinuxSystem

/// What the supervisor knows of the world that its callers live in, found at the start.
package struct Frame: Sendable {
  /// O_PATH of the root directory that all of the tree starts with, and keeps where the policy does not permit it another.
  package let root: Int32
  package let ownerUID: UInt32
  package let ownerGID: UInt32
  package let ownPid: Int32
  /// pid of the launcher, later the agent.
  package let target: Int32
  /// Descriptor of the launcher's controlling terminal, if it was handed over.
  package let tty: Int32?
  /// The list of the tree's control group, if it was handed over.
  package let group: Int32?
  /// `/bin` and its like, where it is a link to `usr/bin` that only root can change.
  package let rootLinks: [PathText]
  let mounts: Mounts
  /// The device that memfd and System V's memory lie on.
  let memoryDevice: UInt64?

  package enum Failure: Error, Equatable, Sendable {
    case root(errno: Int32)
    /// The tree's root is not the supervisor's: another mount namespace or a chroot.
    case anotherRoot
    case mounts(errno: Int32)
  }

  package init(target: Int32, tty: Int32?, group: Int32? = nil) throws(Failure) {
    let opened = openAt(-1, PathText("/"), flags: O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw .root(errno: Int32(-opened)) }
    root = Int32(opened)
    ownerUID = currentUser()
    ownerGID = currentGroup()
    ownPid = currentProcess()
    self.target = target
    self.tty = tty
    self.group = group
    guard OwnMounts.are(of: target) else { throw .anotherRoot }
    rootLinks = Self.findRootLinks(root)
    memoryDevice = Self.findMemoryDevice()
    do throws(SystemCallError) { mounts = try Mounts() } catch {
      throw .mounts(errno: error.errno)
    }
  }

  /// Whether the thread is in our namespace of that kind, as `mnt`. `namespaces(7)`.
  static func sharesNamespace(_ kind: String, of other: Int32? = nil, with thread: Int32) -> Bool {
    let first = other.map { "\($0)" } ?? "self"
    return leadToSame(PathText("/proc/\(first)/ns/\(kind)"), PathText("/proc/\(thread)/ns/\(kind)"))
  }

  /// `memfd_create(2)`
  private static func findMemoryDevice() -> UInt64? {
    let made = PathText("").withAddress { rawCall(Int(SYS_memfd_create), $0, 1 /* MFD_CLOEXEC */) }
    guard made >= 0 else { return nil }
    let memory = FileDescriptor(owning: Int32(made))
    var information = stat()
    return statDescriptor(memory.number, &information) == 0 ? UInt64(information.st_dev) : nil
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

  /// Whether the name lies on a file system that may keep its caller waiting.
  package func isRemote(_ name: PathText) -> Bool { mounts.remote.contain(name) }
}
