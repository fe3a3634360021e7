import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// open, openat, openat2, creat.
//
// The race: the path is copied once. Fast: the decision is on the cleaned name, and the open that follows forbids
// links, so that what it opens is what that name names. Slow: the object is pinned, the decision is on the name that
// the pin has, and the pin is what is opened. The caller gets that descriptor; nothing is looked up again. Reading where
// every read is permitted: OpenReads.swift.

extension Mediator {
  func open(_ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    var request = OpenRequest()
    let failed = readOpen(notification, &scratch, &request)
    if failed != 0 {
      notification.fail(failed)
      return
    }
    // O_PATH gives a name and no access: whatever is done with it is decided when it is done, and no descriptor of the
    // kind can be handed over (ADDFD takes none). So the kernel opens it, when the register says so. openat2 has its
    // flags in memory, where they could become others: callers fall back to openat.
    if request.isPath {
      if Int(notification.call) == Int(SYS_openat2) {
        notification.fail(ENOSYS)
      } else {
        openHandle(notification, request, &scratch, started)
      }
      return
    }
    guard assume(notification, &scratch),
      !request.creates && !request.isTemporary || assumeMask(notification, &scratch)
    else {
      refuse(notification, .file, FileOperation.open.rawValue, EACCES, scratch, started)
      return
    }
    let cleaned = clean(notification, directory: request.directory, raw: scratch.raw, name: &scratch.name)
    if cleaned.errno != 0 {
      notification.fail(cleaned.errno)
      return
    }
    if !scratch.mayBlock, frame.isRemote(scratch.name) {
      handOver(notification)
      return
    }
    if request.resolve & ~UInt64(RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) != 0 {
      openConfined(notification, request, &scratch, started)
    } else if cleaned.needsWalk || touchesProcess(scratch.name) || request.isTemporary || scratch.reply != nil
    {
      openWalked(notification, request, &scratch, started)
    } else {
      openFast(notification, request, cleaned, &scratch, started)
    }
  }

  // MARK: fast

  private func openFast(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ cleaned: Cleaned,
    _ scratch: inout Scratch, _ started: UInt64
  ) {
    let (decision, operation, flags) = decideOpen(request, &scratch)
    // A denial is of the object: the name may be a link's, so a walk finds what it means before it is refused.
    guard decision.permits else {
      openWalked(notification, request, &scratch, started)
      return
    }
    // Devices are asked for by their names in /dev: what they are is looked at before anything opens them.
    // So are FIFOs, which the tree is known to have: a reader that came and went would let its writer go.
    if scratch.name.starts(with: "/dev/") || fifosMade.load(ordering: .relaxed), !request.isPath,
      let information = special(scratch.name)
    {
      openSpecial(notification, request, decision, operation, information, &scratch, started)
      return
    }
    var acted = request
    acted.flags = flags
    let opened: Int
    switch mayPass(notification, request) && !cleaned.wantsDirectory
      ? findPlain(scratch.name, as: user(scratch)) : .other
    {
    case .plain:
      pass(notification, decision, &scratch, started)
      return
    case .failed(let result): opened = result
    case .other:
      if request.creates || request.truncates, !notification.isAlive() { return }
      if cleaned.wantsDirectory { scratch.name.append(UInt8(ascii: "/")) }
      opened = openBelowRoot(
        scratch.name, flags: acted.actedFlags(mayBlock: false),
        mode: flags & UInt64(O_CREAT) != 0 ? request.mode : 0,
        resolve: request.resolve)
      if cleaned.wantsDirectory { scratch.name.truncate(to: scratch.name.count - 1) }
    }
    switch opened {
    case -Int(ELOOP) where request.resolve & UInt64(RESOLVE_NO_SYMLINKS) != 0:
      finish(notification, acted, decision, operation, opened, &scratch, started)
    // Not the one of the two that is permitted: refused as what it is.
    case -Int(EEXIST) where request.flags & UInt64(O_EXCL) == 0,
      -Int(ENOENT) where request.creates && flags & UInt64(O_CREAT) == 0:
      openWalked(notification, request, &scratch, started)
    case _ where walkTells(opened, scratch.raw): openWalked(notification, request, &scratch, started)
    case -Int(EAGAIN) where !request.nonBlocking && !scratch.mayBlock: handOver(notification)
    case -Int(EAGAIN) where !request.nonBlocking:
      let waited = helpers.waiting(for: notification) {
        openBelowRoot(
          scratch.name, flags: acted.actedFlags(mayBlock: true), mode: request.mode, resolve: request.resolve)
      }
      finish(notification, acted, decision, operation, waited, &scratch, started)
    case -Int(ENXIO) where !request.nonBlocking && !scratch.mayBlock:
      handOver(notification)  // the write end of a FIFO that nobody reads yet
    case -Int(ENXIO) where !request.nonBlocking:
      let waited = helpers.waiting(for: notification) {
        openBelowRoot(scratch.name, flags: acted.actedFlags(mayBlock: true), resolve: request.resolve)
      }
      finishWaited(notification, acted, decision, operation, waited, &scratch, started)
    case 0... where !request.isPath && !request.nonBlocking && isFifo(Int32(opened)):
      // Open for reading, and counted as a reader as a blocked one would be, until the helper has opened it properly.
      guard !scratch.mayBlock else {
        // A writer may have come while the receiver's descriptor stood for the reader: then that one is the open.
        if let held = notification.giveUp(where: wouldNotWait) {
          closeDescriptor(Int32(opened))
          _ = controlDescriptor(held.number, Int32(F_SETFL), request.statusFlags)
          finish(notification, acted, decision, operation, Int(held.release()), &scratch, started)
          return
        }
        let waited = helpers.waiting(for: notification) {
          openBelowRoot(scratch.name, flags: acted.actedFlags(mayBlock: true), resolve: request.resolve)
        }
        closeDescriptor(Int32(opened))
        finishWaited(notification, acted, decision, operation, waited, &scratch, started)
        return
      }
      notification.keep(FileDescriptor(owning: Int32(opened)))
      handOver(notification)
    default:
      if opened >= 0, !request.isPath, !request.nonBlocking {
        _ = controlDescriptor(Int32(opened), Int32(F_SETFL), request.statusFlags)
      }
      finish(notification, acted, decision, operation, opened, &scratch, started)
    }
  }

  /// Decides on `scratch.name`: for what is there and for what would be made. Where the two differ, the flags are
  /// narrowed so that only the permitted one can happen.
  private func decideOpen(
    _ request: OpenRequest, _ scratch: inout Scratch
  ) -> (Decision, FileOperation, flags: UInt64) {
    let operation: FileOperation = request.writes ? .write : .open
    let onExisting = cutting(request, scratch.decider.decideAll(request.operations, scratch.name), &scratch)
    guard request.creates else { return (onExisting, operation, request.flags) }
    let onNew = scratch.decider.decide(.create, scratch.name)
    if request.exclusive { return (onNew, .create, request.flags) }
    switch (onExisting.permits, onNew.permits) {
    case (true, true), (false, false): return (onExisting, operation, request.flags)
    case (true, false): return (onExisting, operation, request.flags & ~UInt64(O_CREAT))
    case (false, true): return (onNew, .create, request.flags | UInt64(O_EXCL))
    }
  }

  /// O_TRUNC is writing, unless a rule tells truncating from it.
  private func cutting(_ request: OpenRequest, _ decision: Decision, _ scratch: inout Scratch) -> Decision {
    guard request.truncates, policy.restricted.has(.truncate) else { return decision }
    return scratch.decider.decideCut(scratch.name).map(decision.stricter) ?? decision
  }

  private func user(_ scratch: borrowing Scratch) -> UInt32 { scratch.identity?.uid ?? frame.ownerUID }

  // MARK: slow

  private func openWalked(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    if request.isTemporary {
      openTemporary(notification, request, &scratch, started)
      return
    }
    let linkItself = request.noFollow || request.creates && request.exclusive
    let pinned = walk(
      notification, directory: request.directory, raw: scratch.raw, follow: !linkItself, name: &scratch.name,
      mayBlock: scratch.mayBlock, magic: request.resolve & UInt64(RESOLVE_NO_MAGICLINKS) == 0,
      links: request.resolve & UInt64(RESOLVE_NO_SYMLINKS) == 0)
    switch consume pinned {
    case .object(let object): openPinned(notification, request, object, &scratch, started)
    case .mustWait: handOver(notification)
    case .failed(ENOENT) where request.creates || !deniesNothing(request, &scratch):
      openMissing(notification, request, &scratch, started)
    case .failed(let errno): fail(notification, request, errno, &scratch, started)
    }
  }

  func openPinned(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ object: consuming FileDescriptor,
    _ scratch: inout Scratch, _ started: UInt64
  ) {
    var information = stat()
    guard statDescriptor(object.number, &information) == 0 else {
      notification.fail(EACCES)
      return
    }
    let type = FileType(mode: information.st_mode)
    if request.creates, request.exclusive {
      // Whoever may not know of it is told that it may not create here; others that it exists.
      let decision = settle(
        scratch.decider.decide(.create, scratch.name), .create, details: request.details, &scratch)
      finish(
        notification, request, decision, .create, decision.permits ? -Int(EEXIST) : -Int(EACCES), &scratch,
        started)
      return
    }
    let operation: FileOperation = request.writes ? .write : .open
    let decision = settle(
      cutting(request, decideObject(request.operations, information, &scratch), &scratch), operation,
      information, details: request.details, &scratch)
    guard decision.permits, !writesMemory(request, scratch.name) else {
      let refused = decision.permits ? Decision(.deny, .file, default: .floor) : decision
      finish(notification, request, refused, operation, -Int(EACCES), &scratch, started)
      return
    }
    if type == .link {
      openLinkItself(notification, request, object, decision, &scratch, started)
      return
    }
    if !request.isPath,
      type == .fifo || type == .blockDevice
        || type == .characterDevice && clinux_major(UInt(information.st_rdev)) != 1
    {
      if isCallersTerminal(information) {
        openSpecial(notification, request, decision, operation, information, &scratch, started)
      } else {
        openSpecialPin(notification, request, object, decision, operation, &scratch, started)
      }
      return
    }
    if mayPass(notification, request), isPlain(object.number, information, scratch.name, as: user(scratch)) {
      pass(notification, decision, &scratch, started)
      return
    }
    if request.truncates, !notification.isAlive() { return }
    var acted = request
    acted.flags &= ~UInt64(O_CREAT | O_EXCL | O_NOFOLLOW)
    let flags = Int32(truncatingIfNeeded: acted.actedFlags(mayBlock: false))
    let isMap = mapsIdentities(request, scratch.name)
    if isMap, !scratch.mayBlock {
      handOver(notification)  // it takes a fork
      return
    }
    let opened =
      isMap
      ? openFromInside(notification, object.number, flags: flags)
      : ProcPath(ownDescriptor: object.number).open(flags: flags)
    if opened == -Int(EAGAIN), !request.nonBlocking, !scratch.mayBlock {
      handOver(notification)
      return
    }
    if opened >= 0, !request.isPath, !request.nonBlocking {
      _ = controlDescriptor(Int32(opened), Int32(F_SETFL), request.statusFlags)
    }
    finish(notification, acted, decision, operation, opened, &scratch, started)
  }

  /// O_NOFOLLOW on a link: ELOOP, or with O_PATH the link's own handle, which the pin is.
  private func openLinkItself(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ object: consuming FileDescriptor,
    _ decision: Decision, _ scratch: inout Scratch, _ started: UInt64
  ) {
    guard request.isPath, request.flags & UInt64(O_DIRECTORY) == 0 else {
      let errno = request.flags & UInt64(O_DIRECTORY) != 0 ? ENOTDIR : ELOOP
      finish(notification, request, decision, .open, -Int(errno), &scratch, started)
      return
    }
    finish(notification, request, decision, .open, Int(object.release()), &scratch, started)
  }

  // MARK: answers

  /// /proc/PID/mem of another process of the tree, for writing: refused, or nothing read from memory could be relied on.
  private func writesMemory(_ request: OpenRequest, _ name: PathText) -> Bool {
    guard request.writes, touchesProcess(name) else { return false }
    return name.bytes[leafStart(name)...].elementsEqual("mem".utf8)
  }

  /// Whether a missing name may be told of as missing: nothing that was asked for is denied on it.
  private func deniesNothing(_ request: OpenRequest, _ scratch: inout Scratch) -> Bool {
    scratch.decider.decideAll(request.operations, scratch.name).permits
  }

  func fail(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ errno: Int32,
    _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let decision = Decision(.allow, .file, default: .mechanism)
    finish(notification, request, decision, request.writes ? .write : .open, -Int(errno), &scratch, started)
  }

  /// Hands the descriptor over, or the errno, and records.
  func finish(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ decision: Decision,
    _ operation: FileOperation, _ opened: Int, _ scratch: inout Scratch, _ started: UInt64
  ) {
    if opened < 0, scratch.holds(decision) {
      hold(notification, scratch)
      return
    }
    if opened >= 0, isOfProcessElsewhere(Int32(opened), scratch.name) {
      closeDescriptor(Int32(opened))
      finish(
        notification, request, Decision(.deny, .file, default: .floor), operation, -Int(EACCES), &scratch,
        started)
      return
    }
    var outcome = Recorder.Outcome(
      .file, notification, operation: operation.rawValue, decision: decision,
      errno: opened < 0 ? Int32(truncatingIfNeeded: -opened) : 0, started: started)
    if opened >= 0 {
      outcome.errno = notification.complete(giving: Int32(opened), closeOnExec: request.closeOnExec)
    } else {
      notification.fail(outcome.errno)
    }
    recorder.record(outcome, raw: scratch.raw, name: scratch.name)
  }

  /// Denies what could not be read or carried out with the caller's rights.
  func refuse(
    _ notification: consuming PendingNotification, _ kind: EventRecord.Kind, _ operation: UInt8,
    _ errno: Int32,
    _ scratch: borrowing Scratch, _ started: UInt64
  ) {
    let outcome = Recorder.Outcome(
      kind, notification, operation: operation, decision: Decision(.deny, .file, default: .unresolved),
      errno: errno,
      started: started)
    notification.fail(errno)
    recorder.record(outcome, raw: scratch.raw, name: scratch.name)
  }
}
