import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// rename and link and their *at forms: calls on two names.
//
// The race: both directories are pinned, both names are decided on, and the call is made on the pins. For link with
// AT_SYMLINK_FOLLOW and for descriptors (AT_EMPTY_PATH, /proc/self/fd/N) the object itself is pinned.
//
// Neither call may carry a thing out of its rule (DECISIONS 14): what a rule says of the old name must not be
// stricter, operation by operation, than what is said of the new one. A directory below which rules differ is EXDEV:
// `mv` then copies, and each file is decided on.

extension Mediator {
  func rename(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let arguments = notification.arguments
    let plain = Int(notification.call) == Int(SYS_rename)
    let flags = Int(notification.call) == Int(SYS_renameat2) ? UInt32(truncatingIfNeeded: arguments[4]) : 0
    let from = plain ? AT_FDCWD : notification.int(0)
    let to = plain ? AT_FDCWD : notification.int(2)
    guard readPair(&scratch, notification, arguments[plain ? 0 : 1], arguments[plain ? 1 : 3]) else {
      failPair(notification, &scratch, arguments[plain ? 0 : 1], arguments[plain ? 1 : 3])
      return
    }
    // RENAME_NOREPLACE, RENAME_EXCHANGE; RENAME_WHITEOUT makes a device node.
    guard flags & ~3 == 0, flags != 3 else {
      notification.fail(EINVAL)
      return
    }
    guard assume(notification, &scratch) else {
      refuse(notification, .file, FileOperation.rename.rawValue, EACCES, scratch, started)
      return
    }
    let old = place(
      notification, directory: from, raw: scratch.raw, name: &scratch.name, mayBlock: scratch.mayBlock)
    let new = place(
      notification, directory: to, raw: scratch.rawOther, name: &scratch.nameOther, mayBlock: scratch.mayBlock
    )
    let source: Held
    switch consume old {
    case .failed(let errno):
      notification.fail(errno)
      return
    case .mustWait:
      handOver(notification)
      return
    case .parent(let parent, let leaf): source = Held(parent, leaf)
    }
    switch consume new {
    case .failed(let errno): notification.fail(errno)
    case .mustWait: handOver(notification)
    case .parent(let newParent, let newLeaf):
      let oldParent = source.descriptor.number
      let oldLeaf = source.leaf
      var decision = stricter(.rename, &scratch)
      var errno = EACCES
      // What would be carried out of its rule is not asked about first.
      if decision.permits || decision.asks {
        let carried = carriesOut(
          &scratch, oldParent, oldLeaf, exchange: flags & 2 != 0, newParent.number, newLeaf)
        if carried == 0, !scratch.isSettled(decision) {
          decision = settlePair(
            decision, .rename,
            [
              Self.object(oldParent, scratch.name, oldLeaf),
              Self.object(newParent.number, scratch.nameOther, newLeaf),
            ], details: [UInt64(flags)], &scratch)
        }
        if carried == 0, decision.permits {
          guard notification.isAlive() else { return }
          errno = renamePinned(&scratch, oldParent, oldLeaf, newParent.number, newLeaf, flags)
        } else if carried != 0 {
          errno = carried
          if carried == EACCES { decision = denial(decision, .rename, &scratch) }
        }
      }
      finishPair(notification, .rename, decision, errno, &scratch, started)
    }
  }

  private func renamePinned(
    _ scratch: inout Scratch, _ oldParent: Int32, _ oldLeaf: Int, _ newParent: Int32, _ newLeaf: Int,
    _ flags: UInt32
  ) -> Int32 {
    scratch.text.removeAll()
    scratch.text.append(scratch.name, from: oldLeaf)
    scratch.spare.removeAll()
    scratch.spare.append(scratch.nameOther, from: newLeaf)
    return Int32(
      truncatingIfNeeded: -renameAt2(oldParent, scratch.text, newParent, scratch.spare, flags: flags))
  }

  func link(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let arguments = notification.arguments
    let plain = Int(notification.call) == Int(SYS_link)
    let from = plain ? AT_FDCWD : notification.int(0)
    let to = plain ? AT_FDCWD : notification.int(2)
    let flags = plain ? 0 : notification.int(4)
    let oldAddress = arguments[plain ? 0 : 1]
    let newAddress = arguments[plain ? 1 : 3]
    guard flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) == 0 else {
      notification.fail(EINVAL)
      return
    }
    guard readPair(&scratch, notification, oldAddress, newAddress) else {
      failPair(notification, &scratch, oldAddress, newAddress)
      return
    }
    guard assume(notification, &scratch) else {
      refuse(notification, .file, FileOperation.link.rawValue, EACCES, scratch, started)
      return
    }
    let pinned: Pin
    if scratch.raw.isEmpty, flags & AT_EMPTY_PATH != 0 {
      pinned = pinDescriptor(notification, from, &scratch.name)
    } else {
      pinned = pin(
        notification, directory: from, raw: scratch.raw, follow: flags & AT_SYMLINK_FOLLOW != 0,
        name: &scratch.name,
        mayBlock: scratch.mayBlock)
    }
    let new = place(
      notification, directory: to, raw: scratch.rawOther, name: &scratch.nameOther, mayBlock: scratch.mayBlock
    )
    let source: Held
    switch consume pinned {
    case .failed(let errno):
      notification.fail(errno)
      return
    case .mustWait:
      handOver(notification)
      return
    case .object(let object): source = Held(object, 0)
    }
    switch consume new {
    case .failed(let errno): notification.fail(errno == EBUSY ? EEXIST : errno)
    case .mustWait: handOver(notification)
    case .parent(let parent, let leaf):
      linkPinned(notification, source.descriptor, parent, leaf, &scratch, started)
    }
  }

  /// A descriptor of the caller's as the source: O_TMPFILE files get their name so.
  private func pinDescriptor(
    _ notification: borrowing PendingNotification, _ number: Int32, _ name: inout PathText
  ) -> Pin {
    let opened = ProcPath(notification.thread, "fd", number).open(flags: O_PATH | O_CLOEXEC)
    guard opened >= 0 else { return .failed(errno: EBADF) }
    let object = FileDescriptor(owning: Int32(opened))
    let failed = nameOfDescriptor(object.number, of: notification.thread, into: &name)
    return failed == 0 ? .object(object) : .failed(errno: failed)
  }

  private func linkPinned(
    _ notification: consuming PendingNotification, _ object: borrowing FileDescriptor,
    _ parent: borrowing FileDescriptor, _ leaf: Int, _ scratch: inout Scratch, _ started: UInt64
  ) {
    var information = stat()
    guard statDescriptor(object.number, &information) == 0 else {
      notification.fail(EACCES)
      return
    }
    // A file that never had a name (O_TMPFILE) was decided on as a creation; what counts is the name it gets.
    let nameless = information.st_nlink == 0
    var decision =
      nameless
      ? scratch.decider.decideAll([FileOperations(.link), FileOperations(.create)], scratch.nameOther)
      : stricter(.link, &scratch)
    var errno = EACCES
    if decision.permits || decision.asks, !nameless, loosened(&scratch) != nil {
      decision = denial(decision, .link, &scratch)
    }
    if !scratch.isSettled(decision) {
      decision = settlePair(
        decision, .link, [information, Self.object(parent.number, scratch.nameOther, leaf)], details: [],
        &scratch)
    }
    if decision.permits {
      guard notification.isAlive() else { return }
      scratch.text.removeAll()
      scratch.text.append(scratch.nameOther, from: leaf)
      errno = linkObject(object.number, information, parent.number, scratch.text)
    }
    finishPair(notification, .link, decision, errno, &scratch, started)
  }

  /// Links the pinned object by its own handle. AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH or, since 6.10, the opener's
  /// credentials; the name in /proc does for everybody. A link is linked by its place, which cannot be followed.
  private func linkObject(_ object: Int32, _ information: stat, _ parent: Int32, _ leaf: PathText) -> Int32 {
    if FileType(mode: information.st_mode) == .link {
      let direct = linkAt(object, PathText(), parent, leaf, flags: AT_EMPTY_PATH)
      return direct == -Int(ENOENT) ? EPERM : Int32(truncatingIfNeeded: -direct)
    }
    let source = PathText("/proc/self/fd/\(object)")
    return Int32(truncatingIfNeeded: -linkAt(AT_FDCWD, source, parent, leaf, flags: AT_SYMLINK_FOLLOW))
  }

  /// The first of two pins, while the second is looked for.
  private struct Held: ~Copyable {
    let descriptor: FileDescriptor
    let leaf: Int
    init(_ descriptor: consuming FileDescriptor, _ leaf: Int) {
      self.descriptor = descriptor
      self.leaf = leaf
    }
  }

  // MARK: both names

  private func readPair(
    _ scratch: inout Scratch, _ notification: borrowing PendingNotification, _ old: UInt64, _ new: UInt64
  ) -> Bool {
    notification.readPath(old, into: &scratch.raw) == 0
      && notification.readPath(new, into: &scratch.rawOther) == 0
  }

  private func failPair(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ old: UInt64, _ new: UInt64
  ) {
    let first = notification.readPath(old, into: &scratch.raw)
    let second = notification.readPath(new, into: &scratch.rawOther)
    notification.fail(first != 0 ? first : second != 0 ? second : EFAULT)
  }

  /// The operation on both names; the stricter answer. The slashes that ask for directories stay for the call.
  private func stricter(_ operation: FileOperation, _ scratch: inout Scratch) -> Decision {
    let old = onPlainName(&scratch.name) { scratch.decider.decide(operation, $0) }
    if !old.permits, !old.asks { return old }
    let new = onPlainName(&scratch.nameOther) { scratch.decider.decide(operation, $0) }
    if old.asks { return old.stricter(new) }
    return new.permits && old.verdict == .audit ? old : new
  }

  /// The name without a slash at its end, for the time of `body`.
  private func onPlainName<Result>(_ name: inout PathText, _ body: (PathText) -> Result) -> Result {
    guard name.count > 1, name[name.count - 1] == UInt8(ascii: "/") else { return body(name) }
    return name.withEnd(at: name.count - 1, body)
  }

  /// The policy by which the new name permits an operation that the old one does not: the move would carry the thing out
  /// of its rule.
  private func loosened(_ scratch: inout Scratch) -> PolicySource? {
    onPlainName(&scratch.nameOther) { new in
      onPlainName(&scratch.name) { old in scratch.decider.loosened(from: old, to: new) }
    }
  }

  /// What a move is denied with that both names permit: the rule about moving of the policy that would be left.
  private func denial(
    _ decision: Decision, _ operation: FileOperation, _ scratch: inout Scratch
  ) -> Decision {
    let source = loosened(&scratch) ?? decision.source
    guard source != decision.source else { return decision.denied }
    let own = onPlainName(&scratch.name) { scratch.decider.decide(operation, $0, by: source) }
    return (own ?? decision).denied
  }

  /// Whether this rename carries anything out of its rule: 0, EACCES, EXDEV for a directory that is not of one rule, or
  /// EBUSY for what is mounted elsewhere, or holds what is: all of it would get other names, and lose some.
  private func carriesOut(
    _ scratch: inout Scratch, _ oldParent: Int32, _ oldLeaf: Int, exchange: Bool, _ newParent: Int32,
    _ newLeaf: Int
  ) -> Int32 {
    if loosened(&scratch) != nil { return EACCES }
    if onPlainName(&scratch.name, { scratch.decider.isMountedElsewhere($0.span) }) { return EBUSY }
    if exchange, onPlainName(&scratch.nameOther, { scratch.decider.isMountedElsewhere($0.span) }) {
      return EBUSY
    }
    if exchange {
      swap(&scratch.name, &scratch.nameOther)
      let back = loosened(&scratch) != nil
      swap(&scratch.name, &scratch.nameOther)
      if back { return EACCES }
    }
    let oldIsDirectory = leafIsDirectory(oldParent, scratch.name, oldLeaf, &scratch.text)
    let newIsDirectory = exchange && leafIsDirectory(newParent, scratch.nameOther, newLeaf, &scratch.text)
    guard oldIsDirectory || newIsDirectory else { return 0 }
    let stays = onPlainName(&scratch.nameOther) { new in
      onPlainName(&scratch.name) { old in scratch.decider.keepsRules(from: old, to: new) }
    }
    return stays ? 0 : EXDEV
  }

  private func leafIsDirectory(_ parent: Int32, _ name: PathText, _ leaf: Int, _ text: inout PathText) -> Bool
  {
    text.removeAll()
    text.append(name, from: leaf)
    var information = stat()
    guard statAt(parent, text, &information, flags: AT_SYMLINK_NOFOLLOW) == 0 else { return false }
    return FileType(mode: information.st_mode) == .directory
  }

  private func finishPair(
    _ notification: consuming PendingNotification, _ operation: FileOperation, _ decision: Decision,
    _ errno: Int32,
    _ scratch: inout Scratch, _ started: UInt64
  ) {
    if scratch.holds(decision) {
      hold(notification, scratch)
      return
    }
    let outcome = Recorder.Outcome(
      .file, notification, operation: operation.rawValue, decision: decision, errno: errno, started: started)
    if errno == 0 { notification.complete() } else { notification.fail(errno) }
    scratch.name.cutSlash()
    scratch.nameOther.cutSlash()
    recorder.record(outcome, raw: scratch.raw, name: scratch.name, other: scratch.nameOther)
  }
}
