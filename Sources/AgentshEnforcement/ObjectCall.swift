import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// One object, named by a path or by a descriptor: pinned or taken once, decided on by the name that the pin has, and
// acted on through the pin.

/// How a call names its object.
struct ObjectReference {
  /// A descriptor of the caller's, or AT_FDCWD.
  var directory: Int32 = AT_FDCWD
  /// Of the path in the caller's memory; nil: the call has none, and `directory` is the object.
  var path: UInt64?
  var follow = true
  /// AT_EMPTY_PATH: an empty path is `directory` itself.
  var emptyPath = false

  /// A call that takes a path and nothing else.
  static func path(_ address: UInt64, follow: Bool = true) -> Self { Self(path: address, follow: follow) }
  /// The object that is open as `number`.
  static func descriptor(_ number: Int32) -> Self { Self(directory: number, path: nil) }
  /// A call of the `…at` kind, with its AT_ flags.
  static func at(_ directory: Int32, _ address: UInt64, _ flags: Int32) -> Self {
    Self(
      directory: directory, path: address, follow: flags & AT_SYMLINK_NOFOLLOW == 0,
      emptyPath: flags & AT_EMPTY_PATH != 0)
  }
}

/// What is acted on: a handle of ours to the object (O_PATH), or a duplicate of the caller's own descriptor.
struct PinnedObject {
  let descriptor: Int32
  let type: FileType
  /// The name that it was decided on by.
  let name: PathText
  /// A duplicate of the caller's descriptor, so that the kernel answers by what that may do.
  let isTaken: Bool
  func open(flags: Int32) -> Int { ProcPath(ownDescriptor: descriptor).open(flags: flags) }
  /// The object's name in /proc, which leads to it whatever happens to its real one.
  func withAddress(_ body: (Int) -> Int) -> Int { ProcPath(ownDescriptor: descriptor).withAddress(body) }
}

extension Mediator {
  /// What a denied call is told, and what is decided where.
  enum Question {
    /// A change: EACCES.
    case change
    /// Cutting what is open for writing: EACCES where a rule tells it from writing.
    case cut
    /// A look: ENOENT, as if there were nothing. What is open for reading or writing was decided on when it was opened.
    case look
  }

  /// Finds the object, decides `operation` on it and does `act`, whose result (a value, or -errno) the caller gets.
  func onObject(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64,
    _ reference: ObjectReference, _ operation: FileOperation, _ question: Question = .change,
    _ act: (PinnedObject) -> Int
  ) {
    scratch.raw.removeAll()
    if let address = reference.path, address != 0 || !reference.emptyPath {
      let failed = notification.readPath(address, into: &scratch.raw)
      if failed != 0 {
        notification.fail(failed)
        return
      }
    }
    guard assume(notification, &scratch) else {
      refuse(notification, .file, operation.rawValue, EACCES, scratch, started)
      return
    }
    let isOwn = reference.path == nil || scratch.raw.isEmpty && reference.emptyPath
    let isTaken = isOwn && reference.directory != AT_FDCWD
    let found: Pin
    if isTaken {
      switch CallerDescriptor.take(notification, reference.directory) {
      case .failed(let errno): found = .failed(errno: errno)
      case .unreachable:
        refuse(notification, .file, operation.rawValue, EACCES, scratch, started)
        return
      case .taken(let taken): found = named(taken.descriptor, of: notification.thread, &scratch.name)
      }
    } else if isOwn {
      let opened = ProcPath(notification.thread, "cwd").open(flags: O_PATH | O_CLOEXEC)
      found =
        opened < 0
        ? .failed(errno: EACCES)
        : named(FileDescriptor(owning: Int32(opened)), of: notification.thread, &scratch.name)
    } else {
      found = pin(
        notification, directory: reference.directory, raw: scratch.raw, follow: reference.follow,
        name: &scratch.name, mayBlock: scratch.mayBlock)
    }
    switch consume found {
    case .mustWait: handOver(notification)
    case .failed(let errno): notification.fail(errno)
    case .object(let object):
      let pin = notification.keep(object)
      // Closing the last descriptor of a socket may wait, and ours may be the last; any of a file elsewhere may.
      if isTaken, !scratch.mayBlock, scratch.name.starts(with: "socket:") || frame.isRemote(scratch.name) {
        handOver(notification)
        return
      }
      var information = stat()
      guard statDescriptor(pin, &information) == 0 else {
        notification.fail(EACCES)
        return
      }
      let isFree = isTaken && question == .look && !isPathOnly(pin)
      var decision = Decision(.allow, .file, default: .mechanism)
      if !isFree {
        decision =
          question == .cut
          ? decideCut(information, &scratch) : decideObject(FileOperations(operation), information, &scratch)
        decision = settle(decision, operation, information, &scratch)
      }
      guard decision.permits else {
        let errno = question == .look ? ENOENT : EACCES
        answer(notification, operation, decision, -Int(errno), &scratch, started)
        return
      }
      guard notification.isAlive() else { return }
      let result = act(
        PinnedObject(
          descriptor: pin, type: FileType(mode: information.st_mode), name: scratch.name,
          isTaken: isTaken))
      if isFree {
        // Nothing was decided, so nothing is recorded.
        if result < 0 { notification.fail(Int32(-result)) } else { notification.complete(Int64(result)) }
        return
      }
      answer(notification, operation, decision, result, &scratch, started)
    }
  }

  private func answer(
    _ notification: consuming PendingNotification, _ operation: FileOperation, _ decision: Decision,
    _ result: Int, _ scratch: inout Scratch, _ started: UInt64
  ) {
    if scratch.holds(decision) {
      hold(notification, scratch)
      return
    }
    let errno = result < 0 ? Int32(truncatingIfNeeded: -result) : 0
    let outcome = Recorder.Outcome(
      .file, notification, operation: operation.rawValue, decision: decision, errno: errno, started: started)
    if errno == 0 { notification.complete(Int64(result)) } else { notification.fail(errno) }
    recorder.record(outcome, raw: scratch.raw, name: scratch.name)
  }

  private func named(
    _ object: consuming FileDescriptor, of thread: Int32, _ name: inout PathText
  ) -> Pin {
    let failed = nameOfDescriptor(object.number, of: thread, into: &name)
    return failed == 0 ? .object(object) : .failed(errno: failed)
  }

  private func isPathOnly(_ descriptor: Int32) -> Bool {
    let flags = controlDescriptor(descriptor, F_GETFL)
    return flags < 0 || flags & Int(O_PATH) != 0
  }

  /// Decides on the object that the kernel calls `scratch.name`. Pipes, sockets, memfds and other things without a name
  /// that the tree holds are no files of any rule. What has lost its name is decided by the one that it had, too:
  /// otherwise a rule would end where its file is deleted.
  func decideObject(_ operations: FileOperations, _ information: stat, _ scratch: inout Scratch) -> Decision {
    guard scratch.name.starts(with: "/") else { return Self.nameless }
    let decision = scratch.decider.decideAll(operations, scratch.name)
    guard endsInDeleted(scratch.name) else { return decision }
    guard takeFormerName(information, &scratch) else { return Self.nameless }
    return scratch.decider.decideAll(operations, scratch.spare).stricter(decision)
  }

  /// As `decideObject`, on cutting what is open for writing.
  private func decideCut(_ information: stat, _ scratch: inout Scratch) -> Decision {
    guard scratch.name.starts(with: "/") else { return Self.nameless }
    let decision = scratch.decider.decideCut(scratch.name) ?? Self.nameless
    guard endsInDeleted(scratch.name) else { return decision }
    guard takeFormerName(information, &scratch) else { return Self.nameless }
    return scratch.decider.decideCut(scratch.spare).map(decision.stricter) ?? decision
  }

  /// Puts the name that a deleted thing had into `scratch.spare`; false for a memfd, which had none.
  private func takeFormerName(_ information: stat, _ scratch: inout Scratch) -> Bool {
    if information.st_nlink == 0, scratch.name.starts(with: "/memfd:") { return false }
    scratch.spare = scratch.name
    scratch.spare.truncate(to: scratch.name.count - Mediator.deletedMark.utf8CodeUnitCount)
    return true
  }

  private static let nameless = Decision(.allow, .file, default: .mechanism)

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
