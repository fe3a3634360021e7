import AgentshPolicy
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// `permit: [user_namespaces]`: namespaces and chroot. None of them gives anything another name for us: what a path names is
// looked up from the caller's root, and decided by the name that it has in our mount namespace (MountNames.swift). Who
// changes its root meanwhile has the call done on what it named before or after.
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

  /// clone and unshare, where they part or share what we have to know of.
  func part(_ notification: consuming PendingNotification) {
    let flags = notification.arguments[0]
    if flags & UInt64(CLONE_NEWNS) != 0 {
      rootsVary.store(true, ordering: .sequentiallyConsistent)
      mountsVary.store(true, ordering: .sequentiallyConsistent)
    }
    if notification.call == Int32(SYS_clone), flags & UInt64(CLONE_FILES) != 0 {
      filesAreShared.store(true, ordering: .sequentiallyConsistent)
    }
    notification.passThrough()
  }

  /// Whether the caller's absolute paths may begin elsewhere than ours. `proc_pid_root(5)`
  func hasOwnRoot(_ thread: Int32) -> Bool {
    guard rootsVary.load(ordering: .sequentiallyConsistent) else { return false }
    var name = PathText()
    return ProcPath(thread, "root").readLink(into: &name) != 1 || namesAreElsewhere(for: thread)
  }

  /// Whether the numbers that the caller gives are those of a pid namespace that was made inside.
  func numbersItself(_ thread: Int32) -> Bool {
    permitsUserNamespaces && !Frame.sharesNamespace("pid", with: thread)
  }

  /// Whether the next name means a process by a number of its namespace's, which takes a look at all processes.
  func asksForNumbers(_ thread: Int32, at name: PathText) -> Bool {
    name.equals("/proc") && numbersItself(thread)
  }

  /// The number that we have for the process that one in a pid namespace of its own calls by a name in /proc; nil where it
  /// is that number already, or nobody's there.
  func numberOutside(_ name: ArraySlice<UInt8>, for thread: Int32) -> Int32? {
    guard numbersItself(thread), let number = UInt32(String(decoding: name, as: UTF8.self)),
      let caller = ThreadStatus(reading: thread)
    else { return nil }
    let level = caller.numbers.count
    return Tree.allProcesses()?.first { process in
      guard let status = ThreadStatus(reading: process), status.numbers.count >= level,
        status.numbers[level - 1] == number, status.numbers[0] != number
      else { return false }
      return descends(process, fromNamespaceOf: thread, level)
    }
  }

  /// Whether a process is in the thread's pid namespace, or in one that was made there: the first of its parents that is
  /// on that level tells.
  private func descends(_ process: Int32, fromNamespaceOf thread: Int32, _ level: Int) -> Bool {
    var current = process
    for _ in 0..<Self.generations {
      guard let status = ThreadStatus(reading: current), status.numbers.count >= level else { return false }
      if status.numbers.count == level { return Frame.sharesNamespace("pid", of: thread, with: current) }
      current = status.parent
    }
    return false
  }

  /// Whether a process's user namespace is the caller's or was made below it: else the kernel gives the caller no rights over
  /// that process, and ours are not its own. `user_namespaces(7)`, `ioctl_ns(2)`
  func hasRights(_ thread: Int32, over process: Int32) -> Bool {
    guard permitsUserNamespaces, !Frame.sharesNamespace("user", with: thread) else { return true }
    let getParent = 0xb702  // NS_GET_PARENT
    var (own, other) = (stat(), stat())
    guard statAt(-1, PathText("/proc/\(thread)/ns/user"), &own, flags: 0) == 0 else { return false }
    var opened = ProcPath(process, "ns/user").open(flags: O_RDONLY | O_CLOEXEC)
    for _ in 0..<Self.generations {
      guard opened >= 0 else { return false }
      let namespace = FileDescriptor(owning: Int32(opened))
      guard statDescriptor(namespace.number, &other) == 0 else { return false }
      if own.st_ino == other.st_ino, own.st_dev == other.st_dev { return true }
      opened = rawCall(Int(SYS_ioctl), Int(namespace.number), getParent)
    }
    return false
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

  /// Opens a pinned file as one in the thread's user namespace. Returns our descriptor or -errno.
  func openFromInside(
    _ notification: borrowing PendingNotification, _ object: Int32, flags: Int32
  ) -> Int {
    let path = ProcPath(ownDescriptor: object)
    if Frame.sharesNamespace("user", with: notification.thread) { return path.open(flags: flags) }
    return path.withAddress { address in
      within(notification, mounts: false, [Int(SYS_openat), Int(AT_FDCWD), address, Int(flags), 0, 0, 0])
    }
  }

  // MARK: inside

  /// Has a child of ours, which shares our descriptors, make one call (seven numbers: which, and its arguments) in the
  /// thread's user namespace, and with `mounts` in its mount namespace, from its root and working directory. Returns what
  /// the call did: 0 and more, or -errno. `setns(2)`: of a user namespace, only for processes without threads.
  func within(_ notification: borrowing PendingNotification, mounts: Bool, _ call: [Int]) -> Int {
    let thread = notification.thread
    let opened = [
      ProcPath(thread, "ns/user").open(flags: O_RDONLY | O_CLOEXEC),
      rawCall(Int(SYS_eventfd2), 0, Int(O_CLOEXEC | O_NONBLOCK)),
      mounts ? ProcPath(thread, "ns/mnt").open(flags: O_RDONLY | O_CLOEXEC) : 0,
      mounts ? ProcPath(thread, "root").open(flags: O_PATH | O_CLOEXEC) : 0,
      mounts ? ProcPath(thread, "cwd").open(flags: O_PATH | O_CLOEXEC) : 0,
    ]
    defer { for number in opened where number > 0 { closeDescriptor(Int32(number)) } }
    // Who waits now had its number all the time: these are its namespaces, not another's.
    guard opened.allSatisfy({ $0 >= 0 }), notification.isAlive() else { return -Int(EACCES) }
    let (user, told) = (opened[0], Int32(opened[1]))
    return Self.dot.withAddress { dot in
      var calls = [Int(SYS_setns), user, Int(CLONE_NEWUSER), 0, 0, 0, 0]
      if mounts {
        calls += [Int(SYS_setns), opened[2], Int(CLONE_NEWNS), 0, 0, 0, 0]
        calls += [Int(SYS_fchdir), opened[3], 0, 0, 0, 0, 0]
        calls += [Int(SYS_chroot), dot, 0, 0, 0, 0, 0]
        calls += [Int(SYS_fchdir), opened[4], 0, 0, 0, 0, 0]
      }
      calls += call
      // SAFETY: the child has a copy of all that the numbers are addresses of.
      let child = processes.startingStranger {
        unsafe calls.withUnsafeBufferPointer {
          unsafe clinux_calls_start($0.baseAddress, Int32($0.count / 7), told)
        }
      }
      guard child > 0 else { return child }
      // __WALL: it has no signal for its end. ECHILD: a tracer takes every child's.
      var status: Int32 = 0
      _ = retryingInterrupt { waitFor(Int32(child), 0x4000_0000, &status) }
      processes.forgetStranger(Int32(child))
      var word: UInt64 = 0
      // SAFETY: eight bytes, alive across the call.
      let got = unsafe withUnsafeMutablePointer(to: &word) {
        rawCall(Int(SYS_read), Int(told), kernelAddress($0), 8)
      }
      return got == 8 ? Int(word) - CLINUX_CALLS_BASE : -Int(EACCES)
    }
  }
}
