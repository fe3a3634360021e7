import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// getdents, getdents64: asked about only where a rule can stop listing, or looking at names.
//
// The race: the directory is a duplicate of what the caller's number named once, decided on by the name that it has; its
// entries are read through the duplicate, whose place is the caller's, and what may not be seen is left out.

extension Mediator {
  /// The most that is read at once: the caller gets what fits, and asks again.
  private static let listLimit = 32_768

  func listDirectory(
    _ notification: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64
  ) {
    let (thread, address) = (notification.thread, notification.arguments[1])
    let call = Int(notification.call)
    let size = Int(min(UInt64(UInt32(truncatingIfNeeded: notification.arguments[2])), UInt64(Self.listLimit)))
    scratch.raw.removeAll()
    guard assume(notification, &scratch) else {
      refuse(notification, .file, FileOperation.list.rawValue, EACCES, scratch, started)
      return
    }
    let directory: Int32
    switch CallerDescriptor.take(notification, notification.int(0)) {
    case .failed(let errno):
      notification.fail(errno)
      return
    case .unreachable:
      refuse(notification, .file, FileOperation.list.rawValue, EACCES, scratch, started)
      return
    case .taken(let taken): directory = notification.keep(taken.descriptor)
    }
    var information = stat()
    guard nameOfDescriptor(directory, of: notification.thread, into: &scratch.name) == 0 else {
      notification.fail(EACCES)
      return
    }
    if !scratch.mayBlock, frame.isRemote(scratch.name) {
      handOver(notification)
      return
    }
    guard statDescriptor(directory, &information) == 0 else {
      notification.fail(EACCES)
      return
    }
    guard FileType(mode: information.st_mode) == .directory else {
      notification.fail(ENOTDIR)
      return
    }
    let decision = settle(
      decideObject(FileOperations(.list), information, &scratch), .list, information, &scratch)
    if scratch.holds(decision) {
      hold(notification, scratch)
      return
    }
    var result = -Int(EACCES)
    if decision.permits {
      guard notification.isAlive() else { return }
      var entries = [UInt8](repeating: 0, count: size)
      result = read(directory, call, &entries, &scratch)
      if result > 0 {
        // SAFETY: `result` bytes of ours, alive across the call.
        let failed = unsafe entries.withUnsafeBufferPointer {
          writeProcessMemory(thread, at: address, from: kernelAddress($0.baseAddress), count: result)
        }
        if failed < 0 { result = failed }
      }
    }
    let errno = result < 0 ? Int32(truncatingIfNeeded: -result) : 0
    let outcome = Recorder.Outcome(
      .file, notification, operation: FileOperation.list.rawValue, decision: decision, errno: errno,
      started: started)
    if errno == 0 { notification.complete(Int64(result)) } else { notification.fail(errno) }
    recorder.record(outcome, raw: scratch.raw, name: scratch.name)
  }

  /// Reads entries until some may be seen, or there are no more. Returns how many bytes remain of them, or -errno.
  private func read(_ directory: Int32, _ call: Int, _ entries: inout [UInt8], _ scratch: inout Scratch)
    -> Int
  {
    while true {
      // SAFETY: the buffer lives across the call, which writes no more than its size.
      let count = unsafe entries.withUnsafeMutableBufferPointer {
        rawCall(call, Int(directory), kernelAddress($0.baseAddress), $0.count)
      }
      guard count > 0 else { return count }
      let kept = hide(&entries, count, nameAt: call == Int(SYS_getdents) ? 18 : 19, &scratch)
      if kept > 0 { return kept }
    }
  }

  /// Leaves out the entries of `scratch.name` that may not be looked at. `getdents(2)`: inode and offset of 8 bytes,
  /// the entry's length of 2, then (getdents64) the type, the name and a NUL.
  private func hide(_ entries: inout [UInt8], _ count: Int, nameAt: Int, _ scratch: inout Scratch) -> Int {
    guard policy.restricted.has(.stat) else { return count }
    scratch.spare = scratch.name
    if scratch.spare[scratch.spare.count - 1] != UInt8(ascii: "/") { scratch.spare.append(UInt8(ascii: "/")) }
    let base = scratch.spare.count
    var (from, to) = (0, 0)
    while from + nameAt < count {
      let length = Int(entries[from + 16]) | Int(entries[from + 17]) << 8
      guard length > nameAt, from + length <= count else { return to }
      var end = from + nameAt
      while end < from + length, entries[end] != 0 { end += 1 }
      let name = entries[(from + nameAt)..<end]
      let isDots = name.count <= 2 && name.allSatisfy { $0 == UInt8(ascii: ".") }
      scratch.spare.truncate(to: base)
      scratch.spare.append(name)
      if isDots || scratch.decider.decide(.stat, scratch.spare).permits {
        if to != from { for index in 0..<length { entries[to + index] = entries[from + index] } }
        to += length
      }
      from += length
    }
    return to
  }
}
