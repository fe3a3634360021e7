import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// truncate, chmod, chown, utimes, setxattr and their forms that take paths.
//
// The race: the object is pinned by the path that was copied, decided on by the name that the pin has, and changed
// through the pin. The times, owners and attribute values are copied once, too.

extension Mediator {
  func truncate(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let length = Int64(bitPattern: notification.arguments[1])
    onObject(notification, &scratch, started, AT_FDCWD, notification.arguments[0], .truncate, follow: true) {
      pin, _ in
      // truncate(2) wants write permission on the file, as opening it for writing does.
      let opened = pin.open(flags: O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
      guard opened >= 0 else { return opened == -Int(ENXIO) ? -Int(EINVAL) : opened }
      let file = FileDescriptor(owning: Int32(opened))
      return truncateDescriptor(file.number, length: length)
    }
  }

  func setAttributes(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    switch Int(notification.call) {
    case Int(SYS_chmod), Int(SYS_fchmodat), 452: changeMode(notification, &scratch, started)
    case Int(SYS_chown), Int(SYS_lchown), Int(SYS_fchownat): changeOwner(notification, &scratch, started)
    case Int(SYS_utime), Int(SYS_utimes), Int(SYS_futimesat), Int(SYS_utimensat):
      changeTimes(notification, &scratch, started)
    default: changeExtended(notification, &scratch, started)
    }
  }

  private func changeMode(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let plain = Int(notification.call) == Int(SYS_chmod)
    let mode = Int(UInt32(truncatingIfNeeded: arguments[plain ? 1 : 2]) & 0o7777)
    let flags = notification.call == 452 ? notification.int(3) : 0
    guard flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 else {
      notification.fail(EINVAL)
      return
    }
    onObject(
      notification, &scratch, started, plain ? AT_FDCWD : notification.int(0), arguments[plain ? 0 : 1],
      .chmod,
      follow: flags & AT_SYMLINK_NOFOLLOW == 0, emptyPath: flags & AT_EMPTY_PATH != 0
    ) { pin, type in
      if type == .link { return -Int(EOPNOTSUPP) }
      return pin.withAddress { rawCall(Int(SYS_chmod), $0, mode) }
    }
  }

  private func changeOwner(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let isAt = Int(notification.call) == Int(SYS_fchownat)
    let flags =
      isAt ? notification.int(4) : Int(notification.call) == Int(SYS_lchown) ? AT_SYMLINK_NOFOLLOW : 0
    let uid = Int(notification.int(isAt ? 2 : 1))
    let gid = Int(notification.int(isAt ? 3 : 2))
    guard flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 else {
      notification.fail(EINVAL)
      return
    }
    onObject(
      notification, &scratch, started, isAt ? notification.int(0) : AT_FDCWD, arguments[isAt ? 1 : 0], .chown,
      follow: flags & AT_SYMLINK_NOFOLLOW == 0, emptyPath: flags & AT_EMPTY_PATH != 0
    ) { pin, type in
      // fchownat on the pin's own handle: for links as well, and nothing is looked up.
      Mediator.empty.withAddress { path in
        rawCall(Int(SYS_fchownat), Int(pin.descriptor), path, uid, gid, Int(AT_EMPTY_PATH))
      }
    }
  }

  private func changeTimes(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let call = Int(notification.call)
    let isAt = call == Int(SYS_utimensat) || call == Int(SYS_futimesat)
    let flags = call == Int(SYS_utimensat) ? notification.int(3) : 0
    let timesAddress = arguments[isAt ? 2 : 1]
    guard flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 else {
      notification.fail(EINVAL)
      return
    }
    var times: [Int64]? = nil
    if timesAddress != 0 {
      let width = call == Int(SYS_utime) ? 16 : 32
      let failed = notification.readBytes(timesAddress, count: width, into: &scratch.text)
      if failed != 0 {
        notification.fail(failed)
        return
      }
      var values = (0..<(width / 8)).map { word($0, of: scratch.text) }
      if call == Int(SYS_utime) { values = [values[0], 0, values[1], 0] }
      if call == Int(SYS_utimes) || call == Int(SYS_futimesat) {
        guard (0..<1_000_000).contains(values[1]), (0..<1_000_000).contains(values[3]) else {
          notification.fail(EINVAL)
          return
        }
        values[1] *= 1000
        values[3] *= 1000
      }
      times = values
    }
    // utimensat without a path is futimens: on the descriptor.
    let onDescriptor = isAt && arguments[1] == 0
    if onDescriptor, notification.int(0) == AT_FDCWD {
      notification.fail(EFAULT)
      return
    }
    onObject(
      notification, &scratch, started, isAt ? notification.int(0) : AT_FDCWD, arguments[isAt ? 1 : 0],
      .setattr,
      follow: flags & AT_SYMLINK_NOFOLLOW == 0, emptyPath: onDescriptor || flags & AT_EMPTY_PATH != 0,
      noPath: onDescriptor
    ) { pin, type in
      setTimes(pin, times)
    }
  }

  private func setTimes(_ pin: PinnedObject, _ times: [Int64]?) -> Int {
    func act(_ address: Int) -> Int {
      Mediator.empty.withAddress { path in
        rawCall(Int(SYS_utimensat), Int(pin.descriptor), path, address, Int(AT_EMPTY_PATH))
      }
    }
    guard let times else { return act(0) }
    // SAFETY: four words, two timespecs, alive across the call.
    return unsafe times.withUnsafeBufferPointer { act(kernelAddress($0.baseAddress)) }
  }

  private func changeExtended(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let call = Int(notification.call)
    let sets = call == Int(SYS_setxattr) || call == Int(SYS_lsetxattr)
    let follow = call == Int(SYS_setxattr) || call == Int(SYS_removexattr)
    let failed = notification.readPath(arguments[1], into: &scratch.rawOther)
    if failed != 0 {
      notification.fail(failed)
      return
    }
    let attribute = scratch.rawOther
    var value: [UInt8] = []
    let flags = sets ? Int(notification.int(4)) : 0
    if sets {
      let size = arguments[3]
      guard size <= 65_536 else {
        notification.fail(E2BIG)
        return
      }
      guard let bytes = notification.readValue(arguments[2], count: Int(size)) else {
        notification.fail(EFAULT)
        return
      }
      value = bytes
    }
    onObject(notification, &scratch, started, AT_FDCWD, arguments[0], .setattr, follow: follow) { pin, type in
      // Only user.* exists for links not at all; others need rights that the tree lacks. The pin's name in /proc.
      if type == .link { return -Int(EPERM) }
      return pin.withAddress { path in
        attribute.withAddress { name in
          guard sets else { return rawCall(Int(SYS_removexattr), path, name) }
          // SAFETY: the value lives across the call.
          return unsafe value.withUnsafeBufferPointer {
            rawCall(Int(SYS_setxattr), path, name, kernelAddress($0.baseAddress), $0.count, flags)
          }
        }
      }
    }
  }

  private func word(_ index: Int, of text: PathText) -> Int64 {
    var value: UInt64 = 0
    for byte in 0..<8 { value |= UInt64(text[index * 8 + byte]) << UInt64(8 * byte) }
    return Int64(bitPattern: value)
  }

  /// What `onObject` hands on: the pin, by number and by its name in /proc.
  struct PinnedObject {
    let descriptor: Int32
    func open(flags: Int32) -> Int { ProcPath(ownDescriptor: descriptor).open(flags: flags) }
    func withAddress(_ body: (Int) -> Int) -> Int { ProcPath(ownDescriptor: descriptor).withAddress(body) }
  }

  /// Reads the path at `address`, pins what it names, decides `operation` on it and does `act` through the pin.
  private func onObject(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64,
    _ directory: Int32,
    _ address: UInt64, _ operation: FileOperation, follow: Bool, emptyPath: Bool = false,
    noPath: Bool = false,
    _ act: (PinnedObject, FileType) -> Int
  ) {
    scratch.raw.removeAll()
    let failed = noPath ? 0 : notification.readPath(address, into: &scratch.raw)
    if failed != 0 {
      notification.fail(failed)
      return
    }
    guard assume(notification, &scratch) else {
      refuse(notification, .file, operation.rawValue, EACCES, scratch, started)
      return
    }
    let pinned: Pin
    if scratch.raw.isEmpty, emptyPath {
      pinned = pinOwn(notification, directory, &scratch.name)
    } else {
      pinned = pin(
        notification, directory: directory, raw: scratch.raw, follow: follow, name: &scratch.name,
        mayBlock: scratch.mayBlock)
    }
    switch consume pinned {
    case .mustWait: handOver(notification)
    case .failed(let errno): notification.fail(errno)
    case .object(let object):
      var information = stat()
      guard statDescriptor(object.number, &information) == 0 else {
        notification.fail(EACCES)
        return
      }
      let decision = scratch.decider.decide(operation, scratch.name)
      var errno = EACCES
      if decision.permits {
        guard notification.isAlive() else { return }
        let result = act(PinnedObject(descriptor: object.number), FileType(mode: information.st_mode))
        errno = result < 0 ? Int32(truncatingIfNeeded: -result) : 0
      }
      let outcome = Recorder.Outcome(
        .file, notification, operation: operation.rawValue, decision: decision, errno: errno, started: started
      )
      if errno == 0 { notification.complete() } else { notification.fail(errno) }
      recorder.record(outcome, raw: scratch.raw, name: scratch.name)
    }
  }

  /// AT_EMPTY_PATH: the caller's descriptor itself (or its cwd).
  private func pinOwn(_ notification: borrowing PendingNotification, _ number: Int32, _ name: inout PathText)
    -> Pin
  {
    let opened =
      number == AT_FDCWD
      ? ProcPath(notification.thread, "cwd").open(flags: O_PATH | O_CLOEXEC)
      : ProcPath(notification.thread, "fd", number).open(flags: O_PATH | O_CLOEXEC)
    guard opened >= 0 else { return .failed(errno: EBADF) }
    let object = FileDescriptor(owning: Int32(opened))
    let failed = nameOfDescriptor(object.number, into: &name)
    return failed == 0 ? .object(object) : .failed(errno: failed)
  }

  static let empty = PathText()
}

extension PendingNotification {
  /// Copies a value of any bounded size; nil when it is not all readable.
  borrowing func readValue(_ address: UInt64, count: Int) -> [UInt8]? {
    if count == 0 { return [] }
    guard address != 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: `count` bytes of ours, alive across the call.
    let got = unsafe bytes.withUnsafeMutableBufferPointer {
      readProcessMemory(thread, at: address, into: kernelAddress($0.baseAddress), count: count)
    }
    return got == count ? bytes : nil
  }
}
