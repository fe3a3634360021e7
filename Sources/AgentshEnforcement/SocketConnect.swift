import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

// connect(2). A socket that blocks is connected on a helper, by a plain blocking connect on the duplicate; one that does
// not is connected at once, and EINPROGRESS is the caller's. O_NONBLOCK belongs to the open file that the caller shares
// with us, so it is never changed.

extension Mediator {
  func connect(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, _ scratch: inout Scratch,
    _ started: UInt64
  ) {
    let blocks = socket.isConnected && !socket.nonBlocking
    if blocks, !scratch.mayBlock {
      handOver(n)
      return
    }
    let problem = readAddress(n, at: n.argument[1], length: n.int(2), &scratch)
    guard problem == 0 else {
      answerUnread(n, problem, &scratch, started)
      return
    }
    guard scratch.rawOther.count >= 2 else {
      n.fail(EINVAL)
      return
    }
    switch judge(n, socket, .connect, &scratch) {
    case .mustWait: handOver(n)
    case .denied(let errno, let ruling): answer(n, errno: errno, ruling, scratch, started)
    case .failed(let errno, let ruling): answer(n, errno: errno, ruling, scratch, started)
    case .permitted(let length, let pin, let ruling):
      // The caller, and with it its thread's id, memory and descriptors, was the caller all the time.
      guard n.isAlive() else { return }
      let result = connect(n, socket, length: length, blocks: blocks, &scratch)
      _ = consume pin
      answer(n, socket, result: result, ruling, scratch, started)
    }
  }

  private func connect(
    _ n: borrowing PendingNotification, _ socket: borrowing CallerSocket, length: Int, blocks: Bool,
    _ scratch: inout Scratch
  ) -> Int {
    let number = socket.number
    let address = scratch.rawOther
    func act() -> Int { connectSocket(number, address, length: length) }
    func perform() -> Int { blocks ? helpers.waiting(for: n, act) : act() }
    guard socket.isUnix else { return perform() }
    return asCaller(n, &scratch, perform) ?? -Int(EACCES)
  }

  /// The arguments could not be read: the kernel's errno, or, where the caller's memory is closed to us, a denial.
  func answerUnread(
    _ n: consuming PendingNotification, _ errno: Int32, _ scratch: inout Scratch, _ started: UInt64
  ) {
    if errno == EACCES {
      refuse(n, errno: EACCES, &scratch, started)
    } else {
      n.fail(errno)
    }
  }

  /// Answers with the result of what was done, then records it.
  func answer(
    _ n: consuming PendingNotification, _ socket: borrowing CallerSocket, result: Int, _ ruling: Ruling,
    _ scratch: borrowing Scratch, _ started: UInt64
  ) {
    let errno = result < 0 ? Int32(truncatingIfNeeded: -result) : 0
    let outcome = Recorder.Outcome(
      ruling.kind, n, operation: ruling.operation.rawValue, decision: ruling.decision, errno: errno,
      started: started)
    if errno == 0 {
      n.complete(Int64(result))
    } else if errno == EINTR {
      answerInterrupted(n, socket)
    } else {
      n.fail(errno)
    }
    record(outcome, scratch)
  }

  /// Answers with an errno, then records the ruling if there is one.
  func answer(
    _ n: consuming PendingNotification, errno: Int32, _ ruling: Ruling?, _ scratch: borrowing Scratch,
    _ started: UInt64
  ) {
    guard let ruling else {
      n.fail(errno)
      return
    }
    if scratch.holds(ruling.decision) {
      hold(n, scratch)
      return
    }
    let outcome = Recorder.Outcome(
      ruling.kind, n, operation: ruling.operation.rawValue, decision: ruling.decision, errno: errno,
      started: started)
    n.fail(errno)
    record(outcome, scratch)
  }

  /// Only Unix sockets have a raw name beside the one decided on.
  func record(_ outcome: Recorder.Outcome, _ scratch: borrowing Scratch) {
    recorder.record(
      outcome, raw: outcome.kind == .unixSocket ? scratch.raw : scratch.name, name: scratch.name)
  }
}
