import CLinux
package import LinuxSystem
package import Seccomp
import Synchronization

// Reading the caller: each argument is copied once; what is decided and what is done use the copy.

extension PendingNotification {
  /// Copies the NUL-terminated path at `address`. Returns 0 or the errno that the kernel would give the caller.
  /// An empty path is not an error here.
  package borrowing func readPath(_ address: UInt64, into text: inout PathText) -> Int32 {
    guard address != 0 else { return EFAULT }
    // Most paths are short; a read that crosses into an unmapped page comes back short, so a small one first.
    for size in [256, PathText.limit] {
      let count = text.fill(capacity: size) { readProcessMemory(thread, at: address, into: $0, count: size) }
      if count <= 0 { return count == 0 ? EFAULT : memoryError(-count) }
      if text.cutAtNul() { return 0 }
      if count < size { return EFAULT }
    }
    return ENAMETOOLONG
  }

  /// Copies a structure of at most 4096 bytes. Returns 0 or an errno; the bytes are in `text`.
  package borrowing func readBytes(_ address: UInt64, count: Int, into text: inout PathText) -> Int32 {
    guard address != 0, count > 0, count <= PathText.limit else { return EFAULT }
    let got = text.fill(capacity: count) { readProcessMemory(thread, at: address, into: $0, count: count) }
    if got < 0 { return memoryError(-got) }
    return got == count ? 0 : EFAULT
  }

  /// Copies a structure that grows with the kernel's versions and of which we know `known` bytes. Returns 0 or what the
  /// kernel says: EINVAL for less, E2BIG for more than a page, or where what we do not know is not zero.
  package borrowing func readStructure(
    _ address: UInt64, size: UInt64, known: Int, into text: inout PathText
  ) -> Int32 {
    guard size >= UInt64(known) else { return EINVAL }
    guard size <= UInt64(PathText.limit) else { return E2BIG }
    let failed = readBytes(address, count: Int(size), into: &text)
    if failed != 0 { return failed }
    for index in known..<Int(size) where text[index] != 0 { return E2BIG }
    return 0
  }

  /// EPERM says that the memory is not readable for us: denied as EACCES, with its event. ESRCH: nobody waits.
  private borrowing func memoryError(_ errno: Int) -> Int32 {
    switch Int32(errno) {
    case EPERM: EACCES
    case ENOMEM: ENOMEM
    default: EFAULT
    }
  }

  package var argument: InlineArray<6, UInt64> { arguments }

  /// A register as the 32-bit number that the kernel takes it for (descriptors, flags).
  package borrowing func int(_ index: Int) -> Int32 { Int32(truncatingIfNeeded: arguments[index]) }
}

extension Mediator {
  /// setuid and its kin, in root's sessions: the kernel's own rules hold, and from the first change on each caller's
  /// identity is read. While everybody is still the owner, asking for the owner's own ids (as make does before each
  /// command) changes nothing. Decided by registers; a list of groups lies in memory and counts as a change.
  func changeIdentity(_ notification: consuming PendingNotification) {
    if !asksForOwner(notification) { identitiesVary.store(true, ordering: .sequentiallyConsistent) }
    notification.passThrough()
  }

  private func asksForOwner(_ notification: borrowing PendingNotification) -> Bool {
    let (own, count): (UInt32, Int)
    switch Int(notification.call) {
    case Int(SYS_setuid), Int(SYS_setfsuid): (own, count) = (frame.ownerUID, 1)
    case Int(SYS_setreuid): (own, count) = (frame.ownerUID, 2)
    case Int(SYS_setresuid): (own, count) = (frame.ownerUID, 3)
    case Int(SYS_setgid), Int(SYS_setfsgid): (own, count) = (frame.ownerGID, 1)
    case Int(SYS_setregid): (own, count) = (frame.ownerGID, 2)
    case Int(SYS_setresgid): (own, count) = (frame.ownerGID, 3)
    default: return false
    }
    for index in 0..<count {
      let asked = UInt32(truncatingIfNeeded: notification.arguments[index])
      if asked != own, asked != .max { return false }
    }
    return true
  }

  /// Makes the thread act with the caller's rights: fsuid, fsgid, groups and capabilities. For an ordinary owner they are
  /// the owner's, always. False when they cannot be known or had: the call is then denied.
  package func assume(_ notification: borrowing PendingNotification, _ scratch: inout Scratch) -> Bool {
    guard frame.ownerUID == 0, identitiesVary.load(ordering: .sequentiallyConsistent) else { return true }
    guard let status = ThreadStatus(reading: notification.thread) else { return false }
    let wanted = Identity(
      uid: status.fsUID, gid: status.fsGID, groups: status.groups,
      capabilities: capabilities(of: notification.thread, status))
    if scratch.identity == wanted { return true }
    guard become(wanted) else { return false }
    scratch.identity = wanted
    return true
  }

  /// Sets the acting thread's umask to the caller's, for calls that create. False when it cannot be read.
  package func assumeMask(_ notification: borrowing PendingNotification, _ scratch: inout Scratch) -> Bool {
    guard let mask = ThreadStatus.mask(of: notification.thread) else { return false }
    if mask != scratch.mask {
      setFileCreationMask(mask)
      scratch.mask = mask
    }
    return true
  }

  /// Raw calls, because libc's would change every thread. Root is taken back first: only root may set the others.
  func become(_ identity: Identity) -> Bool {
    rawCall(Int(SYS_setfsuid), 0)
    var groups = identity.groups
    // SAFETY: the list lives across the call.
    let listed = unsafe groups.withUnsafeMutableBufferPointer {
      rawCall(Int(SYS_setgroups), $0.count, kernelAddress($0.baseAddress))
    }
    guard listed == 0 else { return false }
    rawCall(Int(SYS_setfsgid), Int(identity.gid))
    guard rawCall(Int(SYS_setfsgid), -1) == Int(identity.gid) else { return false }
    rawCall(Int(SYS_setfsuid), Int(identity.uid))
    return rawCall(Int(SYS_setfsuid), -1) == Int(identity.uid) && useCapabilities(identity.capabilities)
  }

  /// What the caller has outside of user namespaces of its own.
  func capabilities(of thread: Int32, _ status: ThreadStatus) -> UInt64 {
    !permitsUserNamespaces || Frame.sharesNamespace("user", with: thread) ? status.capabilities : 0
  }
}
