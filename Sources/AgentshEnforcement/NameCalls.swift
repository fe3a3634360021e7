import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// unlink, rmdir, mkdir, mknod, symlink and their *at forms: calls on one name in a directory.
//
// The race: the directory is pinned, the decision is on its canonical name plus the last component, and the call is
// made on that handle and component. The kernel follows nothing in these calls' last component. What is deleted softly:
// Trash.swift.

extension Mediator {
  func unlink(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let arguments = notification.arguments
    var directory = AT_FDCWD
    var address = arguments[0]
    var flags: Int32 = 0
    switch Int(notification.call) {
    case Int(SYS_rmdir): flags = AT_REMOVEDIR
    case Int(SYS_unlinkat):
      directory = notification.int(0)
      address = arguments[1]
      flags = notification.int(2)
    default: break
    }
    guard flags & ~AT_REMOVEDIR == 0 else {
      notification.fail(EINVAL)
      return
    }
    let operation: FileOperation = flags == 0 ? .delete : .rmdir
    onPlace(notification, &scratch, started, directory, address, operation, dots: EISDIR) {
      unlinkAt($0, $1, flags: flags)
    }
  }

  func make(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let arguments = notification.arguments
    let isAt: Bool
    switch Int(notification.call) {
    case Int(SYS_mkdirat), Int(SYS_mknodat): isAt = true
    default: isAt = false
    }
    guard assumeMask(notification, &scratch) else {
      refuse(notification, .file, FileOperation.create.rawValue, EACCES, scratch, started)
      return
    }
    let directory = isAt ? notification.int(0) : AT_FDCWD
    let address = arguments[isAt ? 1 : 0]
    let mode = UInt32(truncatingIfNeeded: arguments[isAt ? 2 : 1])
    switch Int(notification.call) {
    case Int(SYS_mkdir), Int(SYS_mkdirat):
      onPlace(notification, &scratch, started, directory, address, .mkdir, dots: EEXIST) {
        mkdirAt($0, $1, mode: mode & 0o7777)
      }
    case Int(SYS_mknod), Int(SYS_mknodat):
      let device = arguments[isAt ? 3 : 2]
      // A plain file by mknod is a created file; nodes of devices are the operation that rules call mknod.
      let type = FileType(mode: mode)
      if type == .fifo { fifosMade.store(true, ordering: .relaxed) }
      let operation: FileOperation = type == .regular || mode & UInt32(S_IFMT) == 0 ? .create : .mknod
      if type == .characterDevice || type == .blockDevice, !(type == .characterDevice && device == 0) {
        // Device nodes would be a way to disks and memory behind every rule; the tree lacks CAP_MKNOD as well.
        let failed = notification.readPath(address, into: &scratch.raw)
        if failed != 0 {
          notification.fail(failed)
        } else {
          scratch.name = scratch.raw
          refuse(notification, .file, FileOperation.mknod.rawValue, EPERM, scratch, started)
        }
        return
      }
      onPlace(notification, &scratch, started, directory, address, operation, dots: EEXIST) {
        mknodAt($0, $1, mode: mode, device: device)
      }
    default:
      symlink(notification, &scratch, started)
    }
  }

  private func symlink(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let isAt = Int(notification.call) == Int(SYS_symlinkat)
    let failed = notification.readPath(arguments[0], into: &scratch.rawOther)
    if failed != 0 || scratch.rawOther.isEmpty {
      notification.fail(failed != 0 ? failed : ENOENT)
      return
    }
    // The target is text; what it leads to is decided when somebody follows it.
    let target = scratch.rawOther
    onPlace(
      notification, &scratch, started, isAt ? notification.int(1) : AT_FDCWD, arguments[isAt ? 2 : 1],
      .symlink,
      dots: EEXIST, other: target
    ) { symlinkAt(target, $0, $1) }
  }

  /// Reads the path at `address`, pins its directory, decides `operation` on the name and does `act` there.
  private func onPlace(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64,
    _ directory: Int32,
    _ address: UInt64, _ operation: FileOperation, dots: Int32, other: PathText? = nil,
    _ act: (_ parent: Int32, _ leaf: PathText) -> Int
  ) {
    let failed = notification.readPath(address, into: &scratch.raw)
    if failed != 0 {
      notification.fail(failed)
      return
    }
    guard assume(notification, &scratch) else {
      refuse(notification, .file, operation.rawValue, EACCES, scratch, started)
      return
    }
    let found = place(
      notification, directory: directory, raw: scratch.raw, name: &scratch.name, mayBlock: scratch.mayBlock)
    switch consume found {
    case .mustWait: handOver(notification)
    case .failed(EBUSY): notification.fail(operation == .rmdir ? rmdirOfDots(scratch.raw) : dots)
    case .failed(let errno): notification.fail(errno)
    case .parent(let parent, let leaf):
      let decision = settle(
        decideName(operation, &scratch), operation, at: parent.number, leaf, other: other, &scratch)
      if scratch.holds(decision) {
        hold(notification, scratch)
        return
      }
      var errno = EACCES
      // An empty directory holds nothing to keep.
      let keeps = decision.softDeletes && operation == .delete
      var isDone = decision.permits || keeps || decision.softDeletes && operation == .rmdir
      if isDone {
        guard notification.isAlive() else { return }
        scratch.text.removeAll()
        scratch.text.append(scratch.name, from: leaf)
        if keeps {
          (isDone, errno) = softDelete(parent.number, decision, &scratch)
        } else {
          errno = Int32(truncatingIfNeeded: -act(parent.number, scratch.text))
        }
      }
      let outcome = Recorder.Outcome(
        .file, notification, operation: operation.rawValue, decision: decision, errno: errno,
        started: started, isDone: isDone)
      if errno == 0 { notification.complete() } else { notification.fail(errno) }
      scratch.name.cutSlash()
      recorder.record(
        outcome, raw: scratch.raw, name: scratch.name, other: keeps && errno == 0 ? scratch.nameOther : nil)
    }
  }

  /// Moves `scratch.text` in `parent` to the trash. Whether it was tried, and what the caller is told; the new name is in
  /// `scratch.nameOther`.
  private func softDelete(
    _ parent: Int32, _ decision: Decision, _ scratch: inout Scratch
  ) -> (isDone: Bool, errno: Int32) {
    if scratch.mask != 0o077 {
      setFileCreationMask(0o077)
      scratch.mask = 0o077
    }
    return
      switch trash.take(
        parent, scratch.text, name: scratch.name, rule: policy.ruleName(decision), into: &scratch.nameOther)
    {
    case .moved: (true, 0)
    case .failed(let errno): (true, errno)
    case .nowhere: (false, EACCES)
    }
  }

  /// rmdir of `.` is EINVAL, of `..` ENOTEMPTY, of the root EBUSY. `rmdir(2)`
  private func rmdirOfDots(_ raw: PathText) -> Int32 {
    let last = raw.bytes.split(separator: UInt8(ascii: "/")).last
    guard let last else { return EBUSY }
    return last.count == 2 ? ENOTEMPTY : EINVAL
  }

  /// Decides on a name that may end in the slash that asks for a directory.
  private func decideName(_ operation: FileOperation, _ scratch: inout Scratch) -> Decision {
    let slash = scratch.name.cutSlash()
    defer { if slash { scratch.name.append(UInt8(ascii: "/")) } }
    return scratch.decider.decide(operation, scratch.name)
  }
}
