import AgentshPolicy
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// `permit: [user_namespaces]`: user, pid and network namespaces, and chroot. None of them gives a path another meaning
// for us: the mount namespace is one for all, and what a path names is looked up from the caller's root, and decided by
// its own name. Who changes its root meanwhile has the call done on what it named before or after.
//
// - chroot is let through, whatever it names: nothing rests on it but where the caller's paths begin, which is asked of
//   the kernel at each call from then on.
// - In a pid namespace that was made inside a caller can name nobody but members of the tree, so a number passes. A
//   thread never changes its own.
// - What a user namespace's numbers mean is written to /proc/PID/uid_map and its like, and the kernel asks in which
//   namespace the file was opened: that has to be the caller's. A child of ours enters it and opens the file there.
// - Who sends on a connected Unix socket is told to its peer by number (SCM_CREDENTIALS), which has to be its own where
//   a pid namespace's processes are known by nothing else: such a send goes on, where nobody shares the caller's
//   descriptors, so that the socket cannot be another. The filter tells us of everybody who begins to share them.

extension Mediator {
  func changeRoot(_ notification: consuming PendingNotification) {
    rootsVary.store(true, ordering: .sequentiallyConsistent)
    notification.passThrough()
  }

  /// clone with CLONE_FILES that makes no thread.
  func shareFiles(_ notification: consuming PendingNotification) {
    filesAreShared.store(true, ordering: .sequentiallyConsistent)
    notification.passThrough()
  }

  /// Whether the caller's absolute paths may begin elsewhere than ours. `proc_pid_root(5)`
  func hasOwnRoot(_ thread: Int32) -> Bool {
    guard rootsVary.load(ordering: .sequentiallyConsistent) else { return false }
    var name = PathText()
    return ProcPath(thread, "root").readLink(into: &name) != 1
  }

  /// Whether the numbers that the caller gives are those of a pid namespace that was made inside.
  func numbersItself(_ thread: Int32) -> Bool {
    permitsUserNamespaces && !Frame.sharesNamespace("pid", with: thread)
  }

  /// Whether a send by the caller can be left to the kernel: nothing but the socket counts, and it stays the same.
  func sendsItself(_ notification: borrowing PendingNotification, on socket: borrowing CallerSocket) -> Bool {
    let call = Int(notification.call)
    guard permitsUserNamespaces, call != Int(SYS_connect), call != Int(SYS_bind), socket.isUnix,
      socket.isConnected,
      !filesAreShared.load(ordering: .sequentiallyConsistent)
    else { return false }
    return ThreadStatus(reading: notification.thread)?.threads == 1
  }

  // MARK: maps

  /// Whether an open is for writing what numbers mean in a user namespace. `user_namespaces(7)`
  func mapsIdentities(_ request: OpenRequest, _ name: PathText) -> Bool {
    guard permitsUserNamespaces, request.writes, touchesProcess(name) else { return false }
    let leaf = name.bytes[leafStart(name)...]
    return ["uid_map", "gid_map", "projid_map", "setgroups"].contains { leaf.elementsEqual($0.utf8) }
  }

  /// Opens a pinned file as one in the thread's user namespace. Returns our descriptor or -errno. `setns(2)`: of a user
  /// namespace, only processes without threads.
  func openFromInside(_ thread: Int32, _ object: Int32, flags: Int32) -> Int {
    let path = ProcPath(ownDescriptor: object)
    if Frame.sharesNamespace("user", with: thread) { return path.open(flags: flags) }
    let entered = ProcPath(thread, "ns/user").open(flags: O_RDONLY | O_CLOEXEC)
    guard entered >= 0 else { return -Int(EACCES) }
    let namespace = FileDescriptor(owning: Int32(entered))
    // Where the child, which shares our descriptors, puts the file.
    let reserved = controlDescriptor(object, Int32(F_DUPFD_CLOEXEC), 3)
    guard reserved >= 0 else { return reserved }
    let place = FileDescriptor(owning: Int32(reserved))
    var status: Int32 = -1
    let ended = processes.withStranger {
      let child = path.withAddress { address in
        let child = rawCall(Int(SYS_clone), Int(CLONE_FILES), 0, 0, 0, 0)
        if child != 0 { return child }
        // A copy of one thread of many: nothing but system calls.
        var result = rawCall(Int(SYS_setns), Int(namespace.number), Int(CLONE_NEWUSER))
        if result == 0 { result = rawCall(Int(SYS_openat), Int(AT_FDCWD), address, Int(flags), 0) }
        if result >= 0 {
          let opened = result
          result = rawCall(Int(SYS_dup3), opened, Int(place.number), Int(O_CLOEXEC))
          rawCall(Int(SYS_close), opened)
        }
        rawCall(Int(SYS_exit_group), result < 0 ? -result : 0)
        return 0
      }
      // __WALL: it has no signal for its end.
      return child < 0 ? child : retryingInterrupt { waitFor(Int32(child), 0x4000_0000, &status) }
    }
    guard ended > 0 || ended == -Int(ECHILD) else { return ended == 0 ? -Int(EACCES) : ended }
    // The pin is no file that is open; what the child has put over it is. (A tracer takes every child's status.)
    let flags = controlDescriptor(place.number, F_GETFL)
    if flags >= 0, flags & Int(O_PATH) == 0 { return Int(place.release()) }
    return ended > 0 && clinux_wifexited(status) != 0 ? -Int(clinux_wexitstatus(status)) : -Int(EACCES)
  }
}
