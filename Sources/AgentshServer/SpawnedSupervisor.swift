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

  /// Blocks until the program was executed. `listener`: nil in ptrace mode. `restart`: the target runs already, and begins
  /// again. `target`: whose identity the supervisor takes on, whole: uid, gid and groups as the kernel says them of the
  /// process that it decides for, so that nothing is done with more than that has.
  init(
    program: String, listener: ReceivedListener?, target: ProcessFacts, targetPidfd: SharedDescriptor,
    group: LaunchGroup?, spoolPath: String, restart: RestartPlan? = nil
  ) throws(SpawnFailure) {
    guard let uid = target.users.first, let gid = target.groups.first else {
      throw SpawnFailure("process \(target.pid) has no identity")
    }
    let user = uid == currentUser() ? nil : Identity(uid: uid, gid: gid, groups: target.supplementaryGroups)
    do throws(SystemCallError) {
      let plan = try restart.map { (plan) throws(SystemCallError) in try Self.memoryFile(plan) }
      let (ours, theirs) = try ServerSocket.pair()
      let channel = SharedDescriptor(FileDescriptor(owning: ours))
      let other = SharedDescriptor(FileDescriptor(owning: theirs))
      try ServerSocket.makeBlocking(ours, sendSeconds: LaunchDirector.sendSeconds)
      let null = try check("open", openAt(AT_FDCWD, PathText("/dev/null"), flags: O_RDWR | O_CLOEXEC))
      let nothing = SharedDescriptor(FileDescriptor(owning: Int32(null)))
      let spool = try user.map { _ throws(SystemCallError) in try Self.makeSpool(spoolPath) }
      var arguments = SupervisorArguments(
        .given(channel: 3, listener: listener.map { _ in 4 }), target: target.pid, pidfd: 5)
      arguments.traces = listener == nil
      let members = try group.map { group throws(SystemCallError) in try group.openMembers() }
      var fds = [
        nothing.number, nothing.number, 2, other.number, listener?.number ?? nothing.number,
        targetPidfd.number,
      ]
      if let spool {
        arguments.spool = Int32(fds.count)
        fds.append(spool.number)
      }
      if let members {
        arguments.group = Int32(fds.count)
        fds.append(members.number)
      }
      if let plan {
        arguments.restart = Int32(fds.count)
        fds.append(plan.number)
      }
      var pidfd: Int32 = -1
      pid = try Self.spawn(program, SupervisorCommand.given(arguments).argv, fds, user, &pidfd)
      self.pidfd = SharedDescriptor(FileDescriptor(owning: pidfd))
      self.channel = channel
      // Open until the child has its own.
      withExtendedLifetime((other, nothing, listener, targetPidfd, spool, members, plan)) {}
    } catch { throw SpawnFailure("\(program): \(error)") }
  }

  private struct Identity {
    let uid: UInt32
    let gid: UInt32
    let groups: [UInt32]
  }

  /// Ours, and the supervisor's by descriptor alone: its owner can neither fill our disk beside it nor change in it what
  /// was recorded. DECISIONS 5
  private static func makeSpool(_ path: String) throws(SystemCallError) -> SharedDescriptor {
    let flags = O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC
    let opened = try check("open", openAt(AT_FDCWD, PathText(path), flags: flags, mode: 0o600))
    return SharedDescriptor(FileDescriptor(owning: Int32(opened)))
  }

  private static func memoryFile(_ plan: RestartPlan) throws(SystemCallError) -> SharedDescriptor {
    var writer = WireWriter()
    writer.value(plan)
    return SharedDescriptor(try LinuxSystem.memoryFile("agentsh-restart", holding: writer.bytes))
  }

  private static func spawn(
    _ program: String, _ arguments: [String], _ fds: [Int32], _ user: Identity?, _ pidfd: inout Int32
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
              unsafe request.no_new_privs = 1
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
