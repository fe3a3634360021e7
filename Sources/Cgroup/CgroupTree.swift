import CLinux
package import LinuxSystem

/// A control group of our own around a tree of processes, so that all of them can be ended at once, forks included.
///
/// `cgroups(7)`, version 2; cgroup.kill since Linux 5.14.
package struct CgroupTree: ~Copyable {
  /// Where it lies, below a cgroup2 mount.
  package let path: String
  private let directory: FileDescriptor

  /// Makes a group below this process's own, or says why not: no cgroup2, not ours to write, no cgroup.kill.
  ///
  /// The name is used as it is and must be one component. The group stays when this value goes; see `remove`.
  package static func make(named name: String) throws(CgroupAbsent) -> CgroupTree {
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")) else {
      throw .badName
    }
    guard let parent = CgroupPlace.own() else { throw .notMounted }
    let path = parent + "/" + name
    let made = withPath(path) { rawCall(Int(SYS_mkdir), $0, 0o755) }
    if made < 0 { throw .notWritable(SystemCallError("mkdir", Int32(truncatingIfNeeded: -made))) }
    let flags = Int(O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    let opened = withPath(path) { rawCall(Int(SYS_openat), Int(AT_FDCWD), $0, flags, 0) }
    if opened < 0 {
      _ = withPath(path) { rawCall(Int(SYS_rmdir), $0) }
      throw .notWritable(SystemCallError("openat", Int32(truncatingIfNeeded: -opened)))
    }
    let directory = FileDescriptor(owning: Int32(truncatingIfNeeded: opened))
    let kill = withPath("cgroup.kill") { rawCall(Int(SYS_faccessat), Int(directory.number), $0, Int(W_OK)) }
    if kill < 0 {
      _ = withPath(path) { rawCall(Int(SYS_rmdir), $0) }
      throw .noKill(SystemCallError("faccessat", Int32(truncatingIfNeeded: -kill)))
    }
    return CgroupTree(path: path, directory: directory)
  }

  private init(path: String, directory: consuming FileDescriptor) {
    self.path = path
    self.directory = directory
  }

  /// Moves a process (all its threads) into the group; its children are then born there.
  ///
  /// Throws EACCES or EPERM where the way between the two groups is not ours, ESRCH when it is gone. `cgroups(7)`
  package borrowing func add(pid: Int32) throws(SystemCallError) {
    try write(String(pid), to: "cgroup.procs")
  }

  /// Kills every process of the group and below with SIGKILL; does not wait for their end. `cgroups(7)`, cgroup.kill.
  package borrowing func kill() throws(SystemCallError) { try write("1", to: "cgroup.kill") }

  /// Removes the group. Throws EBUSY while a process of it is not yet reaped. `rmdir(2)`
  package borrowing func remove() throws(SystemCallError) {
    try check("rmdir", withPath(path) { rawCall(Int(SYS_rmdir), $0) })
  }

  private borrowing func write(_ text: String, to file: String) throws(SystemCallError) {
    let flags = Int(O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
    let number = Int(directory.number)
    let opened = withPath(file) { rawCall(Int(SYS_openat), number, $0, flags, 0) }
    let descriptor = FileDescriptor(owning: Int32(truncatingIfNeeded: try check("openat", opened)))
    let length = text.utf8.count
    try check("write", withPath(text) { rawCall(Int(SYS_write), Int(descriptor.number), $0, length) })
  }
}

/// Why there is no group of our own.
package enum CgroupAbsent: Error, Equatable, CustomStringConvertible {
  case badName
  case notMounted
  case notWritable(SystemCallError)
  case noKill(SystemCallError)

  package var description: String {
    switch self {
    case .badName: "the name is no single component"
    case .notMounted: "no cgroup2 file system is mounted with this process's group in it"
    case .notWritable(let error): "this process may not make a group below its own (\(error))"
    case .noKill(let error): "the kernel has no cgroup.kill (\(error))"
    }
  }
}

/// Passes the address of a NUL-terminated copy to a raw call.
func withPath(_ path: String, _ body: (Int) -> Int) -> Int {
  // SAFETY: the copy lives across the call, and the kernel only reads it.
  unsafe path.withCString { body(kernelAddress($0)) }
}
