import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// System V's shared memory, semaphores and queues. They belong to a user, not to a session: with the number or the key of one,
// any process of the same uid reads, changes and removes it. So the tree gets at those alone that it made (ADR 45). They are
// made here, because only whoever makes one learns its number before it can be used.
//
// The race: number and key are values in registers, so the call goes on when the number is the tree's. A number that was
// removed is given again after 2^31 others.

extension Mediator {
  func objectCall(
    _ notification: consuming PendingNotification, _ kind: ObjectTable.Kind, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    // In a namespace of the tree's own nobody else has any.
    if permitsUserNamespaces, !Frame.sharesNamespace("ipc", with: notification.thread) {
      notification.passThrough()
      return
    }
    switch Int(notification.call) {
    case Int(SYS_shmget), Int(SYS_semget), Int(SYS_msgget): getObject(notification, kind, started)
    default: useObject(notification, kind, started)
    }
  }

  private func useObject(
    _ notification: consuming PendingNotification, _ kind: ObjectTable.Kind, _ started: UInt64
  ) {
    let number = notification.int(0)
    if objects.contains(kind, number) {
      notification.passThrough()
      return
    }
    // Where there is none the kernel's answer is ours; it denies nothing.
    var state = noState
    let looked = kind.state(number, into: &state)
    if looked == -Int(EINVAL) || looked == -Int(EIDRM) {
      notification.fail(Int32(-looked))
      return
    }
    deny(notification, "\(kind.word) \(number)", started)
  }

  private func getObject(
    _ notification: consuming PendingNotification, _ kind: ObjectTable.Kind, _ started: UInt64
  ) {
    let key = notification.int(0)
    let size = notification.arguments[1]
    let flags = notification.int(kind == .queue ? 1 : 2)
    // Else the key means another object to us.
    guard Frame.sharesNamespace("ipc", with: notification.thread) else {
      notification.fail(ENOSYS)
      return
    }
    if key == 0 || flags & Self.create != 0 {
      guard objects.hasRoom() else {
        notification.fail(ENOSPC)
        return
      }
      if !notification.isAlive() { return }
      let made = kind.get(key: key, size: size, flags: key == 0 ? flags : flags | Self.exclusive)
      if made >= 0 {
        keep(notification, kind, Int32(truncatingIfNeeded: made))
        return
      }
      if key == 0 || made != -Int(EEXIST) || flags & Self.exclusive != 0 {
        notification.fail(Int32(truncatingIfNeeded: -made))
        return
      }
    }
    let found = kind.get(key: key, size: size, flags: flags & ~(Self.create | Self.exclusive))
    guard found >= 0 else {
      notification.fail(Int32(truncatingIfNeeded: -found))
      return
    }
    if objects.contains(kind, Int32(truncatingIfNeeded: found)) {
      notification.complete(Int64(found))
    } else {
      deny(notification, "\(kind.word) key 0x" + String(UInt32(bitPattern: key), radix: 16), started)
    }
  }

  private static let create: Int32 = 0o1000  // IPC_CREAT
  private static let exclusive: Int32 = 0o2000  // IPC_EXCL

  /// The new object is the caller's, and the tree's.
  private func keep(
    _ notification: consuming PendingNotification, _ kind: ObjectTable.Kind, _ number: Int32
  ) {
    guard give(number, kind, to: notification.thread) else {
      kind.remove(number)
      notification.fail(EACCES)
      return
    }
    objects.insert(kind, number)
    notification.complete(Int64(number))
  }

  /// In a session of root's whose processes change their uid: we made it as root.
  private func give(_ number: Int32, _ kind: ObjectTable.Kind, to thread: Int32) -> Bool {
    guard frame.ownerUID == 0, identitiesVary.load(ordering: .sequentiallyConsistent) else { return true }
    guard let status = ThreadStatus(reading: thread) else { return false }
    if status.fsUID == 0, status.fsGID == 0 { return true }
    var state = noState
    guard kind.state(number, into: &state) == 0 else { return false }
    // struct ipc64_perm: key, uid, gid, creator's uid and gid, mode.
    state[1] = status.fsUID
    state[2] = status.fsGID
    return kind.set(number, &state) == 0
  }

  private func deny(_ notification: consuming PendingNotification, _ object: String, _ started: UInt64) {
    let decision = Decision(.deny, .command, default: .unresolved)
    let outcome = Recorder.Outcome(
      .process, notification, operation: 0, decision: decision, errno: EACCES, started: started)
    notification.fail(EACCES)
    recorder.record(outcome, rawPath: object, path: object, argv: [])
  }
}
