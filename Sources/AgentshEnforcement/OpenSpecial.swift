import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// What is no ordinary file: FIFOs and devices, which may wait in open or mean something else for us than for the caller.

extension Mediator {
  /// What a name is, where opening it may wait or mean something else for us than for the caller.
  func special(_ name: PathText) -> stat? {
    var information = stat()
    guard statAt(frame.root, name, from: 1, &information, flags: AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    switch FileType(mode: information.st_mode) {
    case .fifo, .blockDevice: return information
    case .characterDevice where clinux_major(UInt(information.st_rdev)) != 1: return information
    default: return nil
    }
  }

  /// Whether a read would not wait: there is something to read, or the writer has gone.
  func wouldNotWait(_ descriptor: Int32) -> Bool {
    poll([(descriptor, Int16(POLLIN))], milliseconds: 0)[0] != 0
  }

  func isFifo(_ descriptor: Int32) -> Bool {
    var information = stat()
    return statDescriptor(descriptor, &information) == 0 && FileType(mode: information.st_mode) == .fifo
  }

  /// FIFOs and devices wait in open: on a helper, which opens the name without links as it was decided. The caller's
  /// terminal is its own.
  func openSpecial(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ decision: Decision,
    _ operation: FileOperation, _ information: stat, _ scratch: inout Scratch, _ started: UInt64
  ) {
    if isCallersTerminal(information) {
      let opened = openTerminal(notification.thread, request)
      finish(notification, request, decision, operation, opened, &scratch, started)
      return
    }
    guard scratch.mayBlock else {
      handOver(notification)
      return
    }
    var acted = request
    acted.flags &= ~UInt64(O_CREAT | O_EXCL)
    let opened = helpers.waiting(for: notification) {
      openBelowRoot(scratch.name, flags: acted.actedFlags(mayBlock: true), resolve: request.resolve)
    }
    finishWaited(notification, request, decision, operation, opened, &scratch, started)
  }

  /// The same through the pin: a pipe of the caller's has no name, nor has a FIFO that was removed.
  func openSpecialPin(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ object: borrowing FileDescriptor,
    _ decision: Decision, _ operation: FileOperation, _ scratch: inout Scratch, _ started: UInt64
  ) {
    guard scratch.mayBlock else {
      handOver(notification)
      return
    }
    var acted = request
    acted.flags &= ~UInt64(O_CREAT | O_EXCL | O_NOFOLLOW)
    let pin = object.number
    let opened = helpers.waiting(for: notification) {
      ProcPath(ownDescriptor: pin).open(flags: Int32(truncatingIfNeeded: acted.actedFlags(mayBlock: true)))
    }
    finishWaited(notification, request, decision, operation, opened, &scratch, started)
  }

  /// `/dev/tty`. `tty(4)`.
  func isCallersTerminal(_ information: stat) -> Bool {
    let device = UInt(information.st_rdev)
    return FileType(mode: information.st_mode) == .characterDevice && clinux_major(device) == 5
      && clinux_minor(device) == 0
  }

  func finishWaited(
    _ notification: consuming PendingNotification, _ request: OpenRequest, _ decision: Decision,
    _ operation: FileOperation, _ opened: Int, _ scratch: inout Scratch, _ started: UInt64
  ) {
    if opened == -Int(EINTR) {
      // Whoever waits has a signal to handle, or is gone.
      notification.interrupt()
      return
    }
    finish(notification, request, decision, operation, opened, &scratch, started)
  }

  /// `/dev/tty` means the caller's terminal, which is ours only when it is the same.
  private func openTerminal(_ thread: Int32, _ request: OpenRequest) -> Int {
    guard let theirs = terminalNumber(thread), theirs != 0 else { return -Int(ENXIO) }
    let flags =
      Int32(truncatingIfNeeded: request.flags & ~UInt64(O_CREAT | O_EXCL | O_TRUNC)) | O_NOCTTY | O_CLOEXEC
    if terminalNumber(frame.ownPid) == theirs { return openAt(AT_FDCWD, PathText("/dev/tty"), flags: flags) }
    let major = clinux_major(UInt(theirs))
    let minor = clinux_minor(UInt(theirs))
    guard (136...143).contains(major) else { return -Int(ENXIO) }
    let opened = openAt(AT_FDCWD, PathText("/dev/pts/\((major - 136) * 256 + minor)"), flags: flags)
    guard opened >= 0 else { return reopenHandedTerminal(theirs, flags) ?? opened }
    var information = stat()
    guard statDescriptor(Int32(opened), &information) == 0, UInt64(information.st_rdev) == theirs else {
      closeDescriptor(Int32(opened))
      return -Int(ENXIO)
    }
    return opened
  }

  /// After su or in a container the device itself cannot be opened; the launcher's own handle can be.
  private func reopenHandedTerminal(_ device: UInt64, _ flags: Int32) -> Int? {
    guard let tty = frame.tty, terminalNumber(frame.target) == device else { return nil }
    return controlDescriptor(tty, Int32(F_DUPFD_CLOEXEC), 3)
  }

  /// Field 7 of /proc/PID/stat: the device number of the controlling terminal. `proc_pid_stat(5)`.
  private func terminalNumber(_ process: Int32) -> UInt64? {
    guard let number = (try? ProcessStat(reading: process))?.number(7) else { return nil }
    return UInt64(UInt32(truncatingIfNeeded: number))
  }
}
