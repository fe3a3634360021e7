import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// Opens for reading where every open for reading is permitted (ADR 51).
//
// The race: nothing rests on the path. Whatever another thread makes of it, the answer would be the same; that it is a
// read stands in a register. The kernel opens it with the caller's own rights and inside its Landlock domain, which
// gives READ_FILE and keeps it from processes outside. The record has the name that was read from memory.

extension Mediator {
  /// Whether the kernel may carry out `request`: openat2 has its flags in memory, where they could become O_RDWR.
  func mayPass(_ notification: borrowing PendingNotification, _ request: OpenRequest) -> Bool {
    let plain = UInt64(O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    return everyReadIsPermitted && request.flags & ~plain == 0 && Int(notification.call) != Int(SYS_openat2)
  }

  /// What a name without links leads to.
  enum Found {
    /// A file that the kernel may open.
    case plain
    /// Something that is carried out.
    case other
    /// The negative errno of the open.
    case failed(Int)
  }

  /// - Parameter user: the uid of the thread's present identity.
  func findPlain(_ name: PathText, as user: UInt32) -> Found {
    let found = openBelowRoot(name, flags: UInt64(O_PATH | O_CLOEXEC))
    guard found >= 0 else { return .failed(found) }
    let object = FileDescriptor(owning: Int32(found))
    var information = stat()
    guard statDescriptor(object.number, &information) == 0 else { return .other }
    return isPlain(object.number, information, name, as: user) ? .plain : .other
  }

  /// Whether what was found is a regular file that the thread's present identity may read.
  func isPlain(_ object: Int32, _ information: stat, _ name: PathText, as user: UInt32) -> Bool {
    guard FileType(mode: information.st_mode) == .regular, !touchesProcess(name),
      !isOfProcessElsewhere(object, name)
    else { return false }
    // What everybody may read, an entry for one user aside: of that the kernel tells the caller, not the record.
    // The owner's bits are the owner's rights, whatever other entries there are. `acl(5)`
    return information.st_mode & 0o444 == 0o444
      || information.st_uid == user && information.st_mode & 0o400 != 0 || isReadable(object: object)
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
