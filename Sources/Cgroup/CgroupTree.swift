import CLinux
package import LinuxSystem

/// A control group of our own around a tree of processes, so that all of them can be ended at once, forks included.
///
/// The group stays when this value goes; see `remove`. `cgroups(7)`, version 2; cgroup.kill since Linux 5.14.
package struct CgroupTree: ~Copyable, Sendable {
  /// Where it lies, below a cgroup2 mount.
  package let path: String
  private let directory: FileDescriptor

  /// Makes a group below this process's own, or says why not. `name` is used as it is and must be one component.
  package static func make(named name: String) throws(CgroupAbsent) -> CgroupTree {
    guard let parent = CgroupPlace.own() else { throw .notMounted }
    return try make(named: name, below: parent)
  }

  /// Makes a group below the one at `parent`, or says why not: no cgroup2, not ours to write, no cgroup.kill.
  ///
  /// Others may look into it, whatever our umask: who manages the group above counts and ends what is below.
  package static func make(named name: String, below parent: String) throws(CgroupAbsent) -> CgroupTree {
    guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")) else {
      throw .badName
    }
    let above = try openGroup(parent)
    let made = mkdirAt(above.number, PathText(name), mode: 0o755)
    if made < 0 { throw .notWritable(SystemCallError("mkdir", Int32(truncatingIfNeeded: -made))) }
    do throws(CgroupAbsent) {
      let tree = try open(at: parent + "/" + name)
      rawCall(Int(SYS_fchmod), Int(tree.directory.number), 0o755)
      return tree
    } catch {
      _ = unlinkAt(above.number, PathText(name), flags: AT_REMOVEDIR)
      throw error
    }
  }

  /// A group that is there, as of an earlier daemon.
  package static func open(at path: String) throws(CgroupAbsent) -> CgroupTree {
    let directory = try openGroup(path)
    let kill = withPath("cgroup.kill") { rawCall(Int(SYS_faccessat), Int(directory.number), $0, Int(W_OK)) }
    if kill < 0 { throw .noKill(SystemCallError("faccessat", Int32(truncatingIfNeeded: -kill))) }
    return CgroupTree(path: path, directory: directory)
  }

  /// What is mounted over a group is none, and nothing is made in it.
  private static func openGroup(_ path: String) throws(CgroupAbsent) -> FileDescriptor {
    let opened = openAt(AT_FDCWD, PathText(path), flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    if opened < 0 { throw .notThere(SystemCallError("open", Int32(truncatingIfNeeded: -opened))) }
    let directory = FileDescriptor(owning: Int32(truncatingIfNeeded: opened))
    var information = statfs()
    // SAFETY: `information` lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &information) {
      rawCall(Int(SYS_fstatfs), Int(directory.number), kernelAddress($0))
    }
    guard result == 0, information.f_type == magic else { throw .notMounted }
    return directory
  }

  /// CGROUP2_SUPER_MAGIC
  private static let magic = 0x6367_7270

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

  /// Moves a process into a group that need not be ours. As `add`.
  package static func move(_ pid: Int32, to path: String) throws(SystemCallError) {
    try write(String(pid), openFile(AT_FDCWD, path + "/cgroup.procs", O_WRONLY).number)
  }

  /// Kills every process of the group and below with SIGKILL; does not wait for their end. `cgroups(7)`, cgroup.kill.
  package borrowing func kill() throws(SystemCallError) { try write("1", to: "cgroup.kill") }

  /// The list of the group's processes, open for `cgroupMembers`. Whoever has it needs no right to the group.
  package borrowing func openMembers() throws(SystemCallError) -> FileDescriptor {
    try openFile("cgroup.procs", O_RDONLY)
  }

  /// Waits until no process is in the group or below, at most that long. Whether it is so. Zombies do not count.
  package borrowing func waitUntilEmpty(milliseconds: Int) throws(SystemCallError) -> Bool {
    let events = try openFile("cgroup.events", O_RDONLY)
    let deadline = monotonicClock() + UInt64(milliseconds) * 1_000_000
    while true {
      if try isEmpty(events.number) { return true }
      let now = monotonicClock()
      guard now < deadline else { return false }
      _ = poll([(events.number, Int16(POLLPRI))], milliseconds: Int((deadline - now) / 1_000_000) + 1)
    }
  }

  private borrowing func isEmpty(_ events: Int32) throws(SystemCallError) -> Bool {
    var text = PathText()
    let count = text.fill(capacity: PathText.limit) {
      rawCall(Int(SYS_pread64), Int(events), $0, PathText.limit, 0)
    }
    try check("read", count)
    return text.text.split(separator: "\n").contains("populated 0")
  }

  /// Removes the group. Throws EBUSY while a process of it lives, ENOENT when it is gone. `rmdir(2)`
  package borrowing func remove() throws(SystemCallError) {
    try check("rmdir", unlinkAt(AT_FDCWD, PathText(path), flags: AT_REMOVEDIR))
  }

  private borrowing func openFile(_ name: String, _ access: Int32) throws(SystemCallError) -> FileDescriptor {
    try Self.openFile(directory.number, name, access)
  }

  private static func openFile(
    _ directory: Int32, _ path: String, _ access: Int32
  ) throws(SystemCallError) -> FileDescriptor {
    let opened = openAt(directory, PathText(path), flags: access | O_CLOEXEC | O_NOFOLLOW)
    return FileDescriptor(owning: Int32(truncatingIfNeeded: try check("openat", opened)))
  }

  private borrowing func write(_ text: String, to file: String) throws(SystemCallError) {
    let descriptor = try openFile(file, O_WRONLY)
    try Self.write(text, descriptor.number)
  }

  private static func write(_ text: String, _ descriptor: Int32) throws(SystemCallError) {
    let length = text.utf8.count
    try check("write", withPath(text) { rawCall(Int(SYS_write), Int(descriptor), $0, length) })
  }
}

/// Why there is no group of our own.
package enum CgroupAbsent: Error, Equatable, CustomStringConvertible {
  case badName
  case notMounted
  case notThere(SystemCallError)
  case notWritable(SystemCallError)
  case noKill(SystemCallError)

  package var description: String {
    switch self {
    case .badName: "the name is no single component"
    case .notMounted: "no cgroup2 file system is mounted with this process's group in it"
    case .notThere(let error): "the group cannot be opened (\(error))"
    case .notWritable(let error): "this process may not make a group below that one (\(error))"
    case .noKill(let error): "the kernel has no cgroup.kill (\(error))"
    }
  }
}

/// Passes the address of a NUL-terminated copy to a raw call.
func withPath(_ path: String, _ body: (Int) -> Int) -> Int {
  // SAFETY: the copy lives across the call, and the kernel only reads it.
  unsafe path.withCString { body(kernelAddress($0)) }
}
