import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem

struct SpawnFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A supervisor that we started ourselves, for a client that does not become it: as the session's owner, with the
/// channel, the listener and the target's pidfd, and nothing else of ours.
struct SpawnedSupervisor: Sendable {
  let pid: Int32
  let pidfd: SharedDescriptor
  let channel: SharedDescriptor

  /// capabilities(7), number 19: reading memory where Yama wants more than the same uid.
  private static let ptraceCapability: UInt = 1 << 19

  /// Blocks until the program was executed.
  init(
    program: String, owner: UInt32, listener: ReceivedListener, target: (pid: Int32, pidfd: SharedDescriptor),
    spoolDirectory: String
  ) throws(SpawnFailure) {
    let user = try Self.user(owner)
    do throws(SystemCallError) {
      if let user { try Self.prepareSpool(spoolDirectory, user) }
      let (ours, theirs) = try ServerSocket.pair()
      let channel = SharedDescriptor(FileDescriptor(owning: ours))
      let other = SharedDescriptor(FileDescriptor(owning: theirs))
      try ServerSocket.makeBlocking(ours, sendSeconds: LaunchDirector.sendSeconds)
      let null = try check("open", openAt(AT_FDCWD, PathText("/dev/null"), flags: O_RDWR | O_CLOEXEC))
      let nothing = SharedDescriptor(FileDescriptor(owning: Int32(null)))
      let arguments = SupervisorArguments(channel: 3, listener: 4, target: target.pid, pidfd: 5)
      let fds = [nothing.number, nothing.number, 2, other.number, listener.number, target.pidfd.number]
      var pidfd: Int32 = -1
      pid = try Self.spawn(program, arguments.argv, fds, user, &pidfd)
      self.pidfd = SharedDescriptor(FileDescriptor(owning: pidfd))
      self.channel = channel
      // Open until the child has its own.
      withExtendedLifetime((other, nothing, listener, target.pidfd)) {}
    } catch { throw SpawnFailure("\(program): \(error)") }
  }

  /// Whom the supervisor has to become; nil: us.
  private static func user(_ owner: UInt32) throws(SpawnFailure) -> UserEntry? {
    if owner == currentUser() { return nil }
    do throws(SystemCallError) {
      if let user = try userEntry(uid: owner) { return user }
    } catch { throw SpawnFailure("uid \(owner): \(error)") }
    throw SpawnFailure("uid \(owner) is not in the user database")
  }

  private static func spawn(
    _ program: String, _ arguments: [String], _ fds: [Int32], _ user: UserEntry?, _ pidfd: inout Int32
  ) throws(SystemCallError) -> Int32 {
    let groups = user?.groups ?? []
    let ptrace = user != nil && yamaRestricts
    var stage: Int32 = 0
    let result = unsafe withCStrings(arguments) { argv in
      unsafe withCStrings(["PATH=/usr/bin:/bin"]) { envp in
        unsafe program.withCString { path in
          unsafe fds.withUnsafeBufferPointer { fds in
            unsafe groups.withUnsafeBufferPointer { groups in
              var request = unsafe clinux_spawn()
              unsafe request.path = path
              unsafe request.argv = argv
              unsafe request.envp = envp
              unsafe request.fds = fds.baseAddress
              unsafe request.fd_count = Int32(fds.count)
              unsafe request.new_session = 1
              if let user {
                unsafe request.set_ids = 1
                unsafe request.uid = user.uid
                unsafe request.gid = user.gid
                unsafe request.groups = groups.baseAddress
                unsafe request.group_count = Int32(groups.count)
                unsafe request.keep_caps = ptrace ? Self.ptraceCapability : 0
              }
              // SAFETY: everything the request points to lives until the child has executed.
              return unsafe clinux_spawn(&request, &pidfd, &stage)
            }
          }
        }
      }
    }
    return Int32(try check("execve", Int(result)))
  }

  private static var yamaRestricts: Bool {
    guard case .success(let bytes) = readAll("/proc/sys/kernel/yama/ptrace_scope", limit: 16) else {
      return false
    }
    return bytes.first != UInt8(ascii: "0")
  }

  /// A directory of the owner's for its spools.
  private static func prepareSpool(_ parent: String, _ user: UserEntry) throws(SystemCallError) {
    let made = mkdirAt(AT_FDCWD, PathText(parent), mode: 0o711)
    if made != -Int(EEXIST) {
      try check("mkdir", made)
      // The umask took the bits away that let others through.
      try check(
        "chmod", PathText(parent).withAddress { rawCall(Int(SYS_fchmodat), Int(AT_FDCWD), $0, 0o711) })
    }
    let own = parent + "/\(user.uid)"
    let result = mkdirAt(AT_FDCWD, PathText(own), mode: 0o700)
    if result == -Int(EEXIST) { return }
    try check("mkdir", result)
    let changed = PathText(own).withAddress {
      rawCall(Int(SYS_fchownat), Int(AT_FDCWD), $0, Int(user.uid), Int(user.gid), Int(AT_SYMLINK_NOFOLLOW))
    }
    try check("chown", changed)
  }
}

/// A NULL-terminated array of C strings for the time of `body`.
private func withCStrings<R>(
  _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  var storage: [CChar] = []
  var offsets: [Int] = []
  for string in strings {
    offsets.append(storage.count)
    storage.append(contentsOf: string.utf8CString)
  }
  // SAFETY: the pointers lead into `storage`, which does not change while `body` runs.
  return unsafe storage.withUnsafeMutableBufferPointer { bytes in
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe offsets.map { offset in
      unsafe bytes.baseAddress.map { unsafe $0 + offset }
    }
    unsafe pointers.append(nil)
    return unsafe pointers.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("an array with a last nil has a base") }
      return unsafe body(base)
    }
  }
}
