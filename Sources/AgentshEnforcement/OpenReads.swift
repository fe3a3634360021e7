import AgentshPolicy
import AgentshWire
import CLinux
import Landlock
import LinuxSystem
import Seccomp

// Opens for reading where every open for reading is permitted (ADR 51).
//
// The race: nothing rests on the path. Whatever another thread makes of it, the answer would be the same; that it is a
// read stands in a register. The kernel opens it with the caller's own rights and inside its Landlock domain, which
// gives READ_FILE and keeps it from processes outside. The record has the name that was read from memory.

extension Mediator {
  /// Whether no rule, default or mechanism of ours can refuse an open for reading. Where the caller's names are not
  /// ours, or Landlock does not stand between it and processes outside, each is carried out.
  static func permitsEveryRead(_ policy: CompiledPolicy) -> Bool {
    guard !policy.rules.permissions.contains(.userNamespaces), Ruleset.kernelABI() > 0 else { return false }
    return policy.permitsEvery(.open)
  }

  /// Whether the kernel may carry out `request`: openat2 has its flags in memory, where they could become O_RDWR.
  func mayPass(_ notification: borrowing PendingNotification, _ request: OpenRequest) -> Bool {
    let plain = UInt64(O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    return everyReadIsPermitted && request.flags & ~plain == 0 && Int(notification.call) != Int(SYS_openat2)
  }

  /// Whether `scratch.name`, without links, is a regular file that the thread's present identity may read: 0, ENOENT
  /// where there is nothing, another errno where the open is to be carried out.
  func findReadable(_ name: PathText) -> Int32 {
    let found = openBelowRoot(name, flags: UInt64(O_PATH | O_CLOEXEC))
    guard found >= 0 else { return Int32(truncatingIfNeeded: -found) }
    let object = FileDescriptor(owning: Int32(found))
    return isReadable(object.number, name) ? 0 : EACCES
  }

  /// The same of what was found. `faccessat2(2)`
  func isReadable(_ object: Int32, _ name: PathText) -> Bool {
    var information = stat()
    guard statDescriptor(object, &information) == 0, FileType(mode: information.st_mode) == .regular,
      !touchesProcess(name), !isOfProcessElsewhere(object, name)
    else { return false }
    // What everybody may read, an entry for one user aside: of that the kernel tells the caller, not the record.
    if information.st_mode & 0o444 == 0o444 { return true }
    let effective = 0x200  // AT_EACCESS
    return Mediator.empty.withAddress {
      rawCall(Int(X86Call.faccessat2.rawValue), Int(object), $0, Int(R_OK), effective | Int(AT_EMPTY_PATH))
    } == 0
  }

  /// Lets the kernel open what was found, and records.
  func pass(
    _ notification: consuming PendingNotification, _ decision: Decision, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    var outcome = Recorder.Outcome(
      .file, notification, operation: FileOperation.open.rawValue, decision: decision, errno: 0,
      started: started)
    if !notification.passThrough() { outcome.errno = ENOENT }
    recorder.record(outcome, raw: scratch.raw, name: scratch.name)
  }
}
