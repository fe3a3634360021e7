import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// stat and its kin, access, readlink, and what else tells of a name: asked about only where a rule can stop them.
//
// The race: the object is pinned by the path that was copied and decided on by the name that the pin has; what is told
// is read through the pin and written into the caller's memory. Denied looks like absent.

extension Mediator {
  func look(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let arguments = notification.arguments
    switch X86Call(rawValue: notification.call) {
    case .stat: status(notification, &scratch, started, .path(arguments[0]), to: arguments[1])
    case .lstat: status(notification, &scratch, started, .path(arguments[0], follow: false), to: arguments[1])
    case .fstat:
      status(notification, &scratch, started, .descriptor(notification.int(0)), to: arguments[1])
    case .newfstatat:
      let flags = notification.int(3)
      guard flags & ~(AT_SYMLINK_NOFOLLOW | Self.noAutomount | AT_EMPTY_PATH) == 0 else {
        notification.fail(EINVAL)
        return
      }
      status(
        notification, &scratch, started, .at(notification.int(0), arguments[1], flags), to: arguments[2])
    case .statx: extendedStatus(notification, &scratch, started)
    case .statfs: fileSystemStatus(notification, &scratch, started)
    case .access, .faccessat, .faccessat2: access(notification, &scratch, started)
    case .readlink: readLink(notification, &scratch, started, .path(arguments[0], follow: false), 1)
    case .readlinkat:
      let reference = ObjectReference(
        directory: notification.int(0), path: arguments[1], follow: false, emptyPath: true)
      readLink(notification, &scratch, started, reference, 2)
    case .inotify_add_watch: addWatch(notification, &scratch, started)
    case .getxattr: readAttribute(notification, &scratch, started, follow: true, list: false)
    case .lgetxattr: readAttribute(notification, &scratch, started, follow: false, list: false)
    case .listxattr: readAttribute(notification, &scratch, started, follow: true, list: true)
    case .llistxattr: readAttribute(notification, &scratch, started, follow: false, list: true)
    default: notification.fail(EPERM)
    }
  }

  /// O_PATH, which the kernel opens: a handle by which nothing can be learnt but that there is something, and that only
  /// by winning a race. What is asked of the handle is decided again.
  func openHandle(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    guard policy.restricted.has(.stat) else {
      notification.passThrough()
      return
    }
    guard assume(notification, &scratch) else {
      refuse(notification, .file, FileOperation.stat.rawValue, EACCES, scratch, started)
      return
    }
    let found = pin(
      notification, directory: request.directory, raw: scratch.raw, follow: !request.noFollow,
      name: &scratch.name, mayBlock: scratch.mayBlock)
    switch consume found {
    case .mustWait: handOver(notification)
    case .failed(let errno): notification.fail(errno)
    case .object(let object):
      var information = stat()
      guard statDescriptor(object.number, &information) == 0 else {
        notification.fail(EACCES)
        return
      }
      let decision = settle(
        decideObject(FileOperations(.stat), information, &scratch), .stat, information, &scratch)
      if scratch.holds(decision) {
        hold(notification, scratch)
        return
      }
      let outcome = Recorder.Outcome(
        .file, notification, operation: FileOperation.stat.rawValue, decision: decision,
        errno: decision.permits ? 0 : ENOENT, started: started)
      if decision.permits { notification.passThrough() } else { notification.fail(ENOENT) }
      recorder.record(outcome, raw: scratch.raw, name: scratch.name)
    }
  }

  // MARK: stat

  /// AT_NO_AUTOMOUNT: a pin mounts nothing either way.
  private static let noAutomount: Int32 = 0x800

  /// Room for the largest structure that is handed out: statx(2)'s, 256 bytes.
  private typealias Structure = InlineArray<32, UInt64>

  /// Has `fill` write a structure at the address that it gets and puts the first `size` bytes of it at `address` in the
  /// caller. Returns 0 or -errno.
  private func hand(
    _ thread: Int32, _ address: UInt64, _ size: Int, _ fill: (_ address: Int) -> Int
  ) -> Int {
    var structure = Structure(repeating: 0)
    // SAFETY: 256 bytes, alive across both calls; `fill` writes at most `size`, which is no more.
    return unsafe withUnsafeMutablePointer(to: &structure) {
      let failed = fill(kernelAddress($0))
      return failed < 0
        ? failed : writeProcessMemory(thread, at: address, from: kernelAddress($0), count: size)
    }
  }

  private func status(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64,
    _ reference: ObjectReference, to address: UInt64
  ) {
    let thread = notification.thread
    onObject(notification, &scratch, started, reference, .stat, .look) { pin in
      hand(thread, address, MemoryLayout<stat>.size) { place in
        Mediator.empty.withAddress {
          rawCall(Int(SYS_newfstatat), Int(pin.descriptor), $0, place, Int(AT_EMPTY_PATH))
        }
      }
    }
  }

  private func extendedStatus(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let (thread, flags) = (notification.thread, notification.int(2))
    let mask = Int(UInt32(truncatingIfNeeded: arguments[3]))
    let synchronisation: Int32 = 0x6000  // AT_STATX_SYNC_TYPE, both of its bits at once are an error
    guard flags & ~(AT_SYMLINK_NOFOLLOW | Self.noAutomount | AT_EMPTY_PATH | synchronisation) == 0,
      flags & synchronisation != synchronisation, mask & 0x8000_0000 == 0
    else {
      notification.fail(EINVAL)
      return
    }
    let reference = ObjectReference.at(notification.int(0), arguments[1], flags)
    onObject(notification, &scratch, started, reference, .stat, .look) { pin in
      hand(thread, arguments[4], MemoryLayout<Structure>.size) { place in
        Mediator.empty.withAddress {
          rawCall(
            Int(SYS_statx), Int(pin.descriptor), $0, Int(flags & synchronisation | AT_EMPTY_PATH), mask, place
          )
        }
      }
    }
  }

  private func fileSystemStatus(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let (thread, address) = (notification.thread, notification.arguments[1])
    onObject(notification, &scratch, started, .path(notification.arguments[0]), .stat, .look) { pin in
      hand(thread, address, MemoryLayout<statfs>.size) {
        rawCall(Int(SYS_fstatfs), Int(pin.descriptor), $0)
      }
    }
  }

  // MARK: access

  private func access(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let call = X86Call(rawValue: notification.call)
    let isAt = call != .access
    let flags = call == .faccessat2 ? notification.int(3) : 0
    let mode = notification.int(isAt ? 2 : 1)
    let effective: Int32 = 0x200  // AT_EACCESS
    guard flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | effective) == 0, mode & ~7 == 0 else {
      notification.fail(EINVAL)
      return
    }
    // The real ids are the effective ones in an owner's tree, where nothing changes them.
    let asReal = flags & effective == 0 && frame.ownerUID == 0
    let real =
      asReal && identitiesVary.load(ordering: .sequentiallyConsistent)
      ? ThreadStatus(reading: notification.thread) : nil
    let reference: ObjectReference =
      isAt ? .at(notification.int(0), arguments[1], flags) : .path(arguments[0])
    var changed = false
    let thread = notification.thread
    onObject(notification, &scratch, started, reference, .access, .look) { pin in
      if let real {
        changed = true
        let capabilities = real.realUID == 0 ? self.capabilities(of: thread, real) : 0
        let identity = Identity(
          uid: real.realUID, gid: real.realGID, groups: real.groups, capabilities: capabilities)
        guard become(identity) else {
          return -Int(EACCES)
        }
      }
      return Mediator.empty.withAddress {
        rawCall(
          Int(X86Call.faccessat2.rawValue), Int(pin.descriptor), $0, Int(mode), Int(effective | AT_EMPTY_PATH)
        )
      }
    }
    if changed { scratch.identity = nil }
  }

  // MARK: readlink

  /// - Parameter place: which register has the buffer; the next has its size.
  private func readLink(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64,
    _ reference: ObjectReference, _ place: Int
  ) {
    let (thread, address) = (notification.thread, notification.arguments[place])
    let size = Int(notification.int(place + 1))
    guard size > 0 else {
      notification.fail(EINVAL)
      return
    }
    onObject(notification, &scratch, started, reference, .readlink, .look) { pin in
      guard pin.type == .link else { return -Int(pin.isTaken ? ENOENT : EINVAL) }
      var target = PathText()
      let length = readLinkAt(pin.descriptor, PathText(), into: &target)
      guard length >= 0 else { return length }
      // What these say depends on who asks, and that is not us.
      let isSelf = pin.name.equals("/proc/self")
      if isSelf || pin.name.equals("/proc/thread-self") {
        guard let own = processID(of: thread) else { return -Int(EACCES) }
        target = PathText(isSelf ? "\(own)" : "\(own)/task/\(thread)")
      }
      let count = min(target.count, size)
      let failed = target.withAddress { writeProcessMemory(thread, at: address, from: $0, count: count) }
      return failed < 0 ? failed : count
    }
  }

  // MARK: the rest

  private func readAttribute(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64, follow: Bool,
    list: Bool
  ) {
    let arguments = notification.arguments
    let thread = notification.thread
    if !list {
      let failed = notification.readPath(arguments[1], into: &scratch.rawOther)
      if failed != 0 {
        notification.fail(failed == ENAMETOOLONG ? ERANGE : failed)
        return
      }
    }
    let attribute = scratch.rawOther
    let address = arguments[list ? 1 : 2]
    let size = Int(min(arguments[list ? 2 : 3], 65_536))
    onObject(notification, &scratch, started, .path(arguments[0], follow: follow), .stat, .look) { pin in
      var value = [UInt8](repeating: 0, count: size)
      // SAFETY: `size` bytes of ours, alive across both calls.
      return unsafe value.withUnsafeMutableBufferPointer { value in
        let place = size == 0 ? 0 : kernelAddress(value.baseAddress)
        let length = pin.withAddress { path in
          list
            ? rawCall(Int(SYS_listxattr), path, place, size)
            : attribute.withAddress { rawCall(Int(SYS_getxattr), path, $0, place, size) }
        }
        guard length > 0, size > 0 else { return length }
        let failed = writeProcessMemory(thread, at: address, from: place, count: length)
        return failed < 0 ? failed : length
      }
    }
  }

  private func addWatch(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    switch CallerDescriptor.take(notification, notification.int(0)) {
    case .failed(let errno): notification.fail(errno)
    case .unreachable: notification.fail(EACCES)
    case .taken(let taken):
      let watcher = notification.keep(taken.descriptor)
      addWatch(notification, &scratch, started, by: watcher)
    }
  }

  private func addWatch(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64,
    by watcher: Int32
  ) {
    let (onlyDirectory, dontFollow): (UInt32, UInt32) = (0x0100_0000, 0x0200_0000)
    let mask = UInt32(truncatingIfNeeded: notification.arguments[2])
    let reference = ObjectReference.path(notification.arguments[1], follow: mask & dontFollow == 0)
    onObject(notification, &scratch, started, reference, .stat, .look) { pin in
      if mask & onlyDirectory != 0, pin.type != .directory { return -Int(ENOTDIR) }
      return pin.withAddress {
        rawCall(Int(SYS_inotify_add_watch), Int(watcher), $0, Int(mask & ~dontFollow))
      }
    }
  }
}
