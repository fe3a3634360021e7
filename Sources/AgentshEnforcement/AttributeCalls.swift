import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// truncate, chmod, chown, utimes, setxattr, removexattr and all their forms, by path and by descriptor.
//
// The race: the object is pinned by the path that was copied, or taken from the caller's table once, decided on by the
// name that it has, and changed through what we hold. The times, owners and attribute values are copied once, too.

extension Mediator {
  func truncate(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let length = Int64(bitPattern: notification.arguments[1])
    onObject(notification, &scratch, started, .path(notification.arguments[0]), .truncate) { pin in
      // truncate(2) wants write permission on the file, as opening it for writing does.
      let opened = pin.open(flags: O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
      guard opened >= 0 else { return opened == -Int(ENXIO) ? -Int(EINVAL) : opened }
      let file = FileDescriptor(owning: Int32(opened))
      return truncateDescriptor(file.number, length: length)
    }
  }

  /// ftruncate, which is writing unless a rule tells the two apart.
  func truncateOpen(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let length = Int64(bitPattern: notification.arguments[1])
    onObject(notification, &scratch, started, .descriptor(notification.int(0)), .truncate, .cut) {
      truncateDescriptor($0.descriptor, length: length)
    }
  }

  func setAttributes(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    switch X86Call(rawValue: notification.call) {
    case .chmod, .fchmod, .fchmodat, .fchmodat2: changeMode(notification, &scratch, started)
    case .chown, .lchown, .fchown, .fchownat: changeOwner(notification, &scratch, started)
    case .utime, .utimes, .futimesat, .utimensat: changeTimes(notification, &scratch, started)
    default: changeExtended(notification, &scratch, started)
    }
  }

  /// The flags of a call of the `…at` kind, where it has no others.
  private static let atFlags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH

  private func changeMode(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let reference: ObjectReference
    var mode = arguments[2]
    switch X86Call(rawValue: notification.call) {
    case .chmod: (reference, mode) = (.path(arguments[0]), arguments[1])
    case .fchmod: (reference, mode) = (.descriptor(notification.int(0)), arguments[1])
    case .fchmodat: reference = .at(notification.int(0), arguments[1], 0)
    default:
      guard notification.int(3) & ~Self.atFlags == 0 else {
        notification.fail(EINVAL)
        return
      }
      reference = .at(notification.int(0), arguments[1], notification.int(3))
    }
    let bits = Int(UInt32(truncatingIfNeeded: mode) & 0o7777)
    let isDescriptor = reference.path == nil
    onObject(notification, &scratch, started, reference, .chmod) { pin in
      if isDescriptor { return rawCall(Int(SYS_fchmod), Int(pin.descriptor), bits) }
      if pin.type == .link { return -Int(EOPNOTSUPP) }
      return pin.withAddress { rawCall(Int(SYS_chmod), $0, bits) }
    }
  }

  private func changeOwner(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let reference: ObjectReference
    var first = 1
    switch X86Call(rawValue: notification.call) {
    case .chown: reference = .path(arguments[0])
    case .lchown: reference = .path(arguments[0], follow: false)
    case .fchown: reference = .descriptor(notification.int(0))
    default:
      guard notification.int(4) & ~Self.atFlags == 0 else {
        notification.fail(EINVAL)
        return
      }
      (reference, first) = (.at(notification.int(0), arguments[1], notification.int(4)), 2)
    }
    let (uid, gid) = (Int(notification.int(first)), Int(notification.int(first + 1)))
    let isDescriptor = reference.path == nil
    onObject(notification, &scratch, started, reference, .chown) { pin in
      if isDescriptor { return rawCall(Int(SYS_fchown), Int(pin.descriptor), uid, gid) }
      // On the pin's own handle: for links as well, and nothing is looked up.
      return Mediator.empty.withAddress {
        rawCall(Int(SYS_fchownat), Int(pin.descriptor), $0, uid, gid, Int(AT_EMPTY_PATH))
      }
    }
  }

  private func changeTimes(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let arguments = notification.arguments
    let call = X86Call(rawValue: notification.call)
    let isAt = call == .utimensat || call == .futimesat
    let flags = call == .utimensat ? notification.int(3) : 0
    guard flags & ~Self.atFlags == 0 else {
      notification.fail(EINVAL)
      return
    }
    var times: [Int64]?
    if arguments[isAt ? 2 : 1] != 0 {
      let width = call == .utime ? 16 : 32
      let failed = notification.readBytes(arguments[isAt ? 2 : 1], count: width, into: &scratch.text)
      if failed != 0 {
        notification.fail(failed)
        return
      }
      var values = (0..<(width / 8)).map { Int64(bitPattern: scratch.text.number(at: $0 * 8)) }
      if call == .utime { values = [values[0], 0, values[1], 0] }
      if call == .utimes || call == .futimesat {
        guard (0..<1_000_000).contains(values[1]), (0..<1_000_000).contains(values[3]) else {
          notification.fail(EINVAL)
          return
        }
        values[1] *= 1000
        values[3] *= 1000
      }
      times = values
    }
    // Without a path they are futimens(3), on a descriptor.
    let isDescriptor = isAt && arguments[1] == 0
    if isDescriptor, notification.int(0) == AT_FDCWD {
      notification.fail(EFAULT)
      return
    }
    let reference: ObjectReference =
      isDescriptor
      ? .descriptor(notification.int(0))
      : isAt ? .at(notification.int(0), arguments[1], flags) : .path(arguments[0])
    onObject(notification, &scratch, started, reference, .setattr) { pin in
      func act(_ address: Int) -> Int {
        if isDescriptor { return rawCall(Int(SYS_utimensat), Int(pin.descriptor), 0, address, Int(flags)) }
        return Mediator.empty.withAddress {
          rawCall(Int(SYS_utimensat), Int(pin.descriptor), $0, address, Int(AT_EMPTY_PATH))
        }
      }
      guard let times else { return act(0) }
      // SAFETY: four words, two timespecs, alive across the call.
      return unsafe times.withUnsafeBufferPointer { act(kernelAddress($0.baseAddress)) }
    }
  }

  /// A call on an extended attribute: where its registers lie, and its value.
  private struct AttributeRequest {
    var reference: ObjectReference
    var name: UInt64
    var sets: Bool
    var value: UInt64 = 0
    var size: UInt64 = 0
    var flags: Int32 = 0
  }

  private func changeExtended(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    var request: AttributeRequest
    switch attributeRequest(notification, &scratch) {
    case .success(let read): request = read
    case .failure(let error):
      notification.fail(error.errno)
      return
    }
    var failed = notification.readPath(request.name, into: &scratch.rawOther)
    if failed == 0, scratch.rawOther.isEmpty || scratch.rawOther.count > 255 { failed = ERANGE }
    if failed != 0 {
      notification.fail(failed == ENAMETOOLONG ? ERANGE : failed)
      return
    }
    var value: [UInt8] = []
    if request.sets {
      guard request.size <= 65_536 else {
        notification.fail(E2BIG)
        return
      }
      guard let bytes = notification.readValue(request.value, count: Int(request.size)) else {
        notification.fail(EFAULT)
        return
      }
      value = bytes
    }
    let attribute = scratch.rawOther
    let (sets, flags, isDescriptor) = (request.sets, Int(request.flags), request.reference.path == nil)
    onObject(notification, &scratch, started, request.reference, .setattr) { pin in
      // user.* is not for links; others need rights that the tree lacks.
      if pin.type == .link { return -Int(EPERM) }
      func act(_ set: Int, _ remove: Int, _ object: Int) -> Int {
        attribute.withAddress { name in
          guard sets else { return rawCall(remove, object, name) }
          // SAFETY: the value lives across the call.
          return unsafe value.withUnsafeBufferPointer {
            rawCall(set, object, name, kernelAddress($0.baseAddress), $0.count, flags)
          }
        }
      }
      if isDescriptor { return act(Int(SYS_fsetxattr), Int(SYS_fremovexattr), Int(pin.descriptor)) }
      return pin.withAddress { act(Int(SYS_setxattr), Int(SYS_removexattr), $0) }
    }
  }

  private func attributeRequest(
    _ notification: borrowing PendingNotification, _ scratch: inout Scratch
  ) -> Result<AttributeRequest, SystemCallError> {
    let arguments = notification.arguments
    func set(_ reference: ObjectReference) -> AttributeRequest {
      AttributeRequest(
        reference: reference, name: arguments[1], sets: true, value: arguments[2], size: arguments[3],
        flags: notification.int(4))
    }
    switch X86Call(rawValue: notification.call) {
    case .setxattr: return .success(set(.path(arguments[0])))
    case .lsetxattr: return .success(set(.path(arguments[0], follow: false)))
    case .fsetxattr: return .success(set(.descriptor(notification.int(0))))
    case .removexattr:
      return .success(AttributeRequest(reference: .path(arguments[0]), name: arguments[1], sets: false))
    case .lremovexattr:
      return .success(
        AttributeRequest(reference: .path(arguments[0], follow: false), name: arguments[1], sets: false))
    case .fremovexattr:
      return .success(
        AttributeRequest(reference: .descriptor(notification.int(0)), name: arguments[1], sets: false))
    default: break
    }
    // setxattrat and removexattrat: a directory, a path and flags first. `struct xattr_args`: value, size, flags.
    func failed(_ errno: Int32) -> Result<AttributeRequest, SystemCallError> {
      .failure(SystemCallError("setxattrat", errno))
    }
    let flags = notification.int(2)
    guard flags & ~Self.atFlags == 0 else { return failed(EINVAL) }
    var request = AttributeRequest(
      reference: .at(notification.int(0), arguments[1], flags), name: arguments[3], sets: false)
    guard notification.call == X86Call.setxattrat.rawValue else { return .success(request) }
    let errno = notification.readStructure(arguments[4], size: arguments[5], known: 16, into: &scratch.text)
    guard errno == 0 else { return failed(errno) }
    request.sets = true
    request.value = scratch.text.number(at: 0)
    let sizes = scratch.text.number(at: 8)
    request.size = sizes & 0xffff_ffff
    request.flags = Int32(truncatingIfNeeded: sizes >> 32)
    return .success(request)
  }
}
