import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal.
//
// The race: receiver and signal are numbers in registers and cannot change. A permitted signal to one member of the tree
// goes on by itself, so that siginfo names its sender; the number could by then be another process's, as with the calls
// of ProcessCalls.swift, and Landlock's scope keeps it inside the tree. Everything else is carried out here: the receiver
// is held by a pidfd before it is looked at, and the signal goes through that. A pidfd of the caller's is duplicated
// first, for another thread can put a different one in its place. Of a group or of everybody each process is decided.

/// Whom one call names.
private enum Addressee {
  case process(Int32)
  case group(Int32)
  case everybody
  /// A descriptor of the caller's.
  case handle(Int32)
  /// The kernel refuses it for what stands in the registers.
  case nobody
}

/// A process that may get a signal: held before it was looked at.
private struct Receiver: ~Copyable {
  let pidfd: FileDescriptor
  let facts: SignalReceiver
  let isMember: Bool
}

/// One of many, decided.
private final class Member {
  let receiver: Receiver
  let decision: Decision

  init(_ receiver: consuming Receiver, _ decision: Decision) {
    self.receiver = receiver
    self.decision = decision
  }
}

/// How one signal of a call came out.
private struct Delivery {
  var decision: Decision
  /// What `pidfd_send_signal` returned; nil where nothing was sent.
  var result: Int?
}

extension Mediator {
  func signalCall(_ n: consuming PendingNotification, _ scratch: inout Scratch, _ started: UInt64) {
    let signal = n.int(Self.signalIndex(n.call))
    let addressee = addressee(n)
    guard (0...64).contains(signal) else {
      n.passThrough()  // EINVAL, by registers
      return
    }
    // kill(0): the caller's group may have others than its pid namespace has.
    if n.call != Int32(SYS_pidfd_send_signal), n.int(0) != 0, numbersItself(n.thread) {
      n.passThrough()
      return
    }
    switch addressee {
    case .nobody: n.passThrough()
    case .process(let pid): signalOne(n, signal, pid, started)
    case .handle(let number): signalHandle(n, signal, number, started)
    case .group, .everybody:
      guard scratch.mayBlock else {
        handOver(n)  // a walk over all processes
        return
      }
      signalMany(n, signal, addressee, started)
    }
  }

  private static func signalIndex(_ call: Int32) -> Int {
    switch Int(call) {
    case Int(SYS_tgkill), Int(SYS_rt_tgsigqueueinfo): 2
    default: 1
    }
  }

  /// `kill(2)`, `tkill(2)`, `rt_sigqueueinfo(2)`, `pidfd_send_signal(2)`.
  private func addressee(_ n: borrowing PendingNotification) -> Addressee {
    let number = n.int(0)
    switch Int(n.call) {
    case Int(SYS_kill):
      if number > 0 { return .process(number) }
      if number == -1 { return .everybody }
      if number == .min { return .nobody }
      return .group(
        number == 0 ? Int32(truncatingIfNeeded: rawCall(Int(SYS_getpgid), Int(n.thread))) : -number)
    case Int(SYS_pidfd_send_signal):
      // PIDFD_SIGNAL_THREAD is decided as its process; PIDFD_SIGNAL_PROCESS_GROUP (4) and what is not known yet is not.
      return n.int(3) & ~3 == 0 ? .handle(number) : .nobody
    default: return number > 0 ? .process(number) : .nobody
    }
  }

  // MARK: one

  private func signalOne(
    _ n: consuming PendingNotification, _ signal: Int32, _ pid: Int32, _ started: UInt64
  ) {
    let opened = hold(pid)
    guard opened >= 0 else {
      n.fail(opened == -Int(ESRCH) ? ESRCH : EPERM)
      return
    }
    let pidfd = FileDescriptor(owning: Int32(opened))
    guard let receiver = receiver(pidfd, from: n) else {
      n.fail(ESRCH)
      return
    }
    let decision = decide(signal, receiver)
    let subject = Self.subject(signal, receiver.facts)
    if decision.permits, receiver.isMember {
      let outcome = outcome(n, decision, 0, started)
      n.passThrough()
      recorder.record(outcome, rawPath: subject, path: subject, argv: [])
      return
    }
    finish(n, deliver(signal, decision, receiver, n), subject, started)
  }

  /// A pidfd for the process, or for the process of a thread's number. `pidfd_open(2)`; a thread's own since 6.9.
  private func hold(_ pid: Int32) -> Int {
    let opened = openPidfd(pid)
    guard opened == -Int(EINVAL) || opened == -Int(ENOENT) else { return opened }
    guard let status = ThreadStatus(reading: pid) else { return -Int(ESRCH) }
    return openPidfd(status.process)
  }

  private func signalHandle(
    _ n: consuming PendingNotification, _ signal: Int32, _ number: Int32, _ started: UInt64
  ) {
    let caller = openPidfd(n.thread, flags: pidfdThread)
    let holder =
      caller >= 0 ? caller : ThreadStatus(reading: n.thread).map { openPidfd($0.process) } ?? -Int(ESRCH)
    guard holder >= 0 else {
      n.fail(EPERM)
      return
    }
    let process = FileDescriptor(owning: Int32(holder))
    let taken = takeDescriptor(process.number, number)
    guard taken >= 0 else {
      n.fail(taken == -Int(EBADF) ? EBADF : EPERM)
      return
    }
    let pidfd = FileDescriptor(owning: Int32(taken))
    guard pidfdProcess(pidfd.number) != nil else {
      n.fail(EBADF)
      return
    }
    guard let receiver = receiver(pidfd, from: n) else {
      n.fail(ESRCH)
      return
    }
    let subject = Self.subject(signal, receiver.facts)
    finish(n, deliver(signal, decide(signal, receiver), receiver, n), subject, started)
  }

  // MARK: many

  private func signalMany(
    _ n: consuming PendingNotification, _ signal: Int32, _ addressee: Addressee, _ started: UInt64
  ) {
    let sender = processes.entry(n.thread)?.process ?? n.thread
    var first: Delivery?
    var delivered = 0
    var seen: Set<Int32> = []
    // Once more for those that were forked meanwhile; the sender itself last, for it may not come back from it.
    for _ in 0..<4 {
      let fresh = named(by: addressee, sender).filter { seen.insert($0).inserted }
      if fresh.isEmpty { break }
      let all = fresh.sorted(by: { ($0 == sender ? 1 : 0, $0) < ($1 == sender ? 1 : 0, $1) })
      for start in stride(from: 0, to: all.count, by: Self.heldAtOnce) {
        // Decided before any of them gets it: one that ends changes whose descendants the others are.
        let members = all[start..<min(start + Self.heldAtOnce, all.count)].compactMap {
          member(n, signal, $0, addressee)
        }
        for member in members {
          let one = deliver(signal, member.decision, member.receiver, n)
          if one.result == 0 || one.decision.verdict == .absorb { delivered += 1 }
          if first == nil || !one.decision.permits && first?.decision.permits == true { first = one }
        }
      }
    }
    let name = SignalSet.name(of: signal)
    let subject =
      if case .group(let number) = addressee { "\(name) group \(number)" } else { "\(name) everybody" }
    guard let first else {
      n.fail(ESRCH)
      return
    }
    var outcome = outcome(n, first.decision, delivered > 0 ? 0 : EPERM, started)
    if delivered > 0 {
      // Who was left out is not told of: the kernel, too, says success when one of a group got it.
      if !first.decision.permits { outcome.errno = 0 }
      n.complete(0)
    } else {
      n.fail(EPERM)
    }
    recorder.record(outcome, rawPath: subject, path: subject, argv: [])
  }

  /// Numbers of the processes now; for everybody as `kill(2)` says: all but init and the sender.
  private func named(by addressee: Addressee, _ sender: Int32) -> [Int32] {
    switch addressee {
    case .group(let group):
      return (Tree.allProcesses() ?? []).filter { rawCall(Int(SYS_getpgid), Int($0)) == Int(group) }
    case .everybody:
      return (Tree.allProcesses() ?? []).filter {
        $0 > 1 && $0 != sender && processes.isMember($0, reaper: frame.ownPid)
      }
    default: return []
    }
  }

  /// Each holds a descriptor.
  private static var heldAtOnce: Int { 256 }

  /// nil: gone, or in another group by now.
  private func member(
    _ n: borrowing PendingNotification, _ signal: Int32, _ pid: Int32, _ addressee: Addressee
  ) -> Member? {
    let opened = openPidfd(pid)
    guard opened >= 0 else { return nil }
    let pidfd = FileDescriptor(owning: Int32(opened))
    if case .group(let group) = addressee, rawCall(Int(SYS_getpgid), Int(pid)) != Int(group) { return nil }
    guard let receiver = receiver(pidfd, from: n) else { return nil }
    let decision = decide(signal, receiver)
    return Member(receiver, decision)
  }

  // MARK: deciding

  private func receiver(
    _ pidfd: consuming FileDescriptor, from n: borrowing PendingNotification
  ) -> Receiver? {
    guard let pid = pidfdProcess(pidfd.number), pid > 0, let status = ThreadStatus(reading: pid),
      let sender = processes.entry(n.thread)
    else { return nil }
    let isMember = processes.isMember(pid, reaper: frame.ownPid)
    var relations = SignalTargetSet(rawValue: 0)
    func add(_ target: SignalTarget, _ holds: Bool) {
      if holds { relations.formUnion(SignalTargetSet(target)) }
    }
    add(.`self`, pid == sender.process)
    add(.parent, pid == sender.parent)
    add(.children, status.parent == sender.process)
    add(.siblings, status.parent == sender.parent && pid != sender.process)
    add(.descendants, processes.descends(pid, from: sender.process))
    add(.session, isMember)
    add(.external, !isMember)
    // init, the kernel's threads, and services: uids below 1000 that are not the owner's.
    add(
      .system,
      !isMember
        && (pid == 1 || pid == 2 || status.parent == 2
          || status.effectiveUID < 1000 && status.effectiveUID != frame.ownerUID)
    )
    let facts = SignalReceiver(
      relations: relations, pid: pid, uid: status.effectiveUID, name: status.command)
    return Receiver(pidfd: pidfd, facts: facts, isMember: isMember)
  }

  private func decide(_ signal: Int32, _ receiver: borrowing Receiver) -> Decision {
    // Ours: no rule reaches the supervisor, nor the daemon behind it.
    if receiver.facts.pid == frame.ownPid || !receiver.isMember && isOurProgram(receiver.facts.pid) {
      return Decision(.deny, .signal, default: .floor)
    }
    if !policy.hasSignalRules {
      // Asked only where the kernel does not scope signals by itself.
      return receiver.isMember
        ? Decision(.allow, .signal, default: .mechanism) : Decision(.deny, .signal, default: .denySignals)
    }
    return policy.decideSignal(signal, to: receiver.facts)
  }

  /// Whether a process runs one of the programs that lie where ours does. One that cannot be told is nobody of ours to
  /// signal: it belongs to another user, which the kernel refuses.
  private func isOurProgram(_ pid: Int32) -> Bool {
    var own = PathText()
    var other = PathText()
    guard ProcPath(frame.ownPid, "exe").readLink(into: &own) > 0 else { return true }
    guard ProcPath(pid, "exe").readLink(into: &other) > 0 else { return false }
    own.truncate(to: leafStart(own))
    return other.count > own.count && other.bytes.starts(with: own.bytes)
  }

  // MARK: carrying out

  private func deliver(
    _ signal: Int32, _ decision: Decision, _ receiver: borrowing Receiver, _ n: borrowing PendingNotification
  ) -> Delivery {
    switch decision.verdict {
    case .allow, .audit:
      return Delivery(decision: decision, result: send(signal, receiver, n))
    case .redirect:
      guard let other = policy.redirectedSignal(decision) else { return Delivery(decision: decision) }
      return Delivery(decision: decision, result: send(signal == 0 ? 0 : other, receiver, n))
    case .absorb, .deny, .approve, .softDelete: return Delivery(decision: decision)
    }
  }

  /// With the caller's rights: where processes of root's session have become others, the kernel would ask about theirs.
  private func send(_ signal: Int32, _ receiver: borrowing Receiver, _ n: borrowing PendingNotification)
    -> Int
  {
    if frame.ownerUID == 0, identitiesVary.load(ordering: .sequentiallyConsistent) {
      guard let caller = ThreadStatus(reading: n.thread) else { return -Int(EPERM) }
      if caller.effectiveUID != 0, caller.effectiveUID != receiver.facts.uid { return -Int(EPERM) }
    }
    return LinuxSystem.sendSignal(receiver.pidfd.number, signal)
  }

  private func finish(
    _ n: consuming PendingNotification, _ delivery: Delivery, _ subject: String, _ started: UInt64
  ) {
    let verdict = delivery.decision.verdict
    let errno: Int32 =
      delivery.result.map { $0 < 0 ? Int32(truncatingIfNeeded: -$0) : 0 } ?? (verdict == .absorb ? 0 : EPERM)
    let outcome = outcome(n, delivery.decision, errno, started)
    if errno == 0 { n.complete(0) } else { n.fail(errno) }
    recorder.record(outcome, rawPath: subject, path: subject, argv: [])
  }

  private func outcome(
    _ n: borrowing PendingNotification, _ decision: Decision, _ errno: Int32, _ started: UInt64
  ) -> Recorder.Outcome {
    Recorder.Outcome(.signal, n, operation: 0, decision: decision, errno: errno, started: started)
  }

  private static func subject(_ signal: Int32, _ receiver: SignalReceiver) -> String {
    "\(SignalSet.name(of: signal)) \(receiver.pid) \(String(decoding: receiver.name, as: UTF8.self))"
  }
}
