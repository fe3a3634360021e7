import AgentshWire
import CLinux
import LinuxSystem
import Ptrace
import Seccomp
import Synchronization

/// Ptrace mode: the tree's calls stop at a tracer instead of coming to a listener, and are mediated by the same code.
/// One thread traces, and handles what does not wait for anybody.
package final class Tracing: Sendable {
  let tracer: Tracer
  private let target: Int32
  /// Until the launcher becomes the command.
  private let isCallingRoll = Atomic(true)
  private let seized = Mutex<Int32?>(nil)
  private let body = Mutex<(@Sendable () -> Void)?>(nil)
  private let news = FutexWord()

  /// Comes to the process when there is news of the target, or nobody is left; blocked by all threads.
  static let newsSignal = SIGURG

  private static let givingCalls: Set<Int32> = [
    Int32(SYS_open), Int32(SYS_openat), Int32(SYS_openat2), Int32(SYS_creat),
  ]

  /// Attaches to the launcher, which waits for our word. Throws EPERM where tracing is not permitted, ESRCH when it is
  /// gone. `ptrace(2)`
  init(target: Int32) throws(SystemCallError) {
    self.target = target
    tracer = Tracer(
      watching: target, wakeSignal: HelperPool.wakeSignal, givingCalls: Self.givingCalls,
      tell: { sendSignal(toPid: currentProcess(), Self.newsSignal) })
    blockAllSignals()
    catchQuietly(HelperPool.wakeSignal)
    let tracer = tracer
    CallPort.open(
      CallPort(
        waits: { tracer.waits($0) }, answer: { tracer.answer($0, $1) },
        give: { tracer.give($0, $1, closeOnExec: $2) }))
    try NamedThread.start("tracer") { self.trace() }
    while seized.withLock({ $0 }) == nil { news.wait(while: 0) }
    if let errno = seized.withLock({ $0 }), errno != 0 { throw SystemCallError("ptrace", errno) }
  }

  private func trace() {
    unblockSignal(HelperPool.wakeSignal)
    var errno: Int32 = 0
    do throws(SystemCallError) { try tracer.seize(target) } catch { errno = error.errno }
    seized.withLock { $0 = errno }
    news.wakeAll()
    guard errno == 0 else { return }
    while true {
      let seen = news.value
      if let body = body.withLock({ $0 }) { return body() }
      news.wait(while: seen)
    }
  }

  /// Handles calls from here on.
  func start(_ mediator: Mediator) {
    body.withLock { body in
      body = { self.receive(mediator) }
    }
    news.wakeAll()
  }

  private func receive(_ mediator: Mediator) {
    rawCall(Int(SYS_unshare), Int(CLONE_FS))
    var scratch = Scratch(policy: mediator.policy, mayBlock: false)
    setFileCreationMask(scratch.mask)
    tracer.run { call in
      if answersRoll(call) { return }
      mediator.handle(
        PendingNotification(
          tracedAs: call.id, thread: call.thread, call: call.number, arguments: call.arguments), &scratch)
    }
  }

  private func answersRoll(_ call: Tracer.Call) -> Bool {
    guard call.thread == target, isCallingRoll.load(ordering: .relaxed) else { return false }
    for index in 0..<6 where call.arguments[index] != UInt64(RollCall.argument) {
      if call.number == Int32(SYS_execve) { isCallingRoll.store(false, ordering: .relaxed) }
      return false
    }
    return tracer.answer(call.id, Int64(RollCall.answer))
  }
}
