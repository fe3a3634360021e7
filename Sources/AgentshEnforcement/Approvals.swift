import AgentshPolicy
package import AgentshWire
import CLinux
import LinuxSystem
package import Seccomp
import Synchronization

/// Calls that wait until somebody has approved them. No thread waits with one: it lies here with its deadline, and when it
/// is answered it goes to a helper, which handles it from the start (`ApprovalReply`).
///
/// The main loop looks at each ten times a second (DECISIONS 21): whose caller is gone is forgotten, whose caller has a
/// signal to handle is interrupted, whose time is over is denied. That the daemon is away changes nothing; the next one
/// is asked again.
package final class Approvals: Sendable {
  /// The daemon's answer may be on its way when the time is over: nanoseconds.
  static let grace: UInt64 = 500_000_000

  private struct Held: Sendable {
    let parked: ParkedNotification
    let thread: Int32
    let subject: ApprovalSubject
    /// On the monotonic clock.
    let deadline: UInt64
    let request: ApprovalRequest
    /// The connection that it was sent over.
    var connection: UInt64?
    /// A signal was there already when it was looked at last.
    var sawSignal = false
  }
  private struct State {
    var held: [UInt64: Held] = [:]
    var next: UInt64 = 1
    /// What a daemon was told of and is held no more, with the connection.
    var withdrawn: [(ApprovalWithdrawal, connection: UInt64)] = []
  }
  private let state = Mutex(State())
  private let listener: Int32
  private let helpers: HelperPool
  private let limit: Int
  private let defaultSeconds: UInt32
  /// Bumped when there is something to tell the daemon.
  private let changed: @Sendable () -> Void

  /// `limit`: so many may wait. `seconds`: how long, where the rule does not say.
  package init(
    listener: Int32, helpers: HelperPool, limit: Int, seconds: UInt32, changed: @escaping @Sendable () -> Void
  ) {
    self.listener = listener
    self.helpers = helpers
    self.limit = limit
    defaultSeconds = seconds
    self.changed = changed
  }

  /// How many wait.
  package var count: Int { state.withLock { $0.held.count } }

  /// Holds a call; over the limit it is denied. On a helper: what the call has open is closed, which may wait.
  /// `seconds`: the rule's timeout.
  package func hold(
    _ notification: consuming PendingNotification, _ subject: ApprovalSubject, seconds: UInt32?, pid: Int32,
    command: String
  ) {
    while let kept = notification.giveUp(where: { _ in true }) { _ = consume kept }
    let thread = notification.thread
    let wait = min(seconds ?? defaultSeconds, UInt32.max / 1000)
    let now = monotonicClock()
    let parked = notification.park()
    let isHeld = state.withLock { state in
      guard state.held.count < limit else { return false }
      let request = ApprovalRequest(
        subject, number: state.next, milliseconds: wait * 1000, pid: pid, command: command)
      state.held[state.next] = Held(
        parked: parked, thread: thread, subject: subject,
        deadline: now + UInt64(wait) * 1_000_000_000 + Self.grace, request: request)
      state.next += 1
      return true
    }
    if isHeld {
      changed()
    } else {
      helpers.submit(.resume(parked), ApprovalReply(subject: subject, outcome: .limit))
    }
  }

  /// The daemon's answer. One to a call that is held no more is nobody's.
  package func answer(_ answer: ApprovalAnswer) {
    guard let held = state.withLock({ $0.held.removeValue(forKey: answer.number) }) else { return }
    let outcome: Approval =
      switch answer.word {
      case .approved: .approved
      case .denied: .denied
      case .limit: .limit
      }
    helpers.submit(.resume(held.parked), ApprovalReply(subject: held.subject, outcome: outcome))
  }

  // MARK: watching

  private enum End { case gone, signal, timeout }

  /// Ends what is over. Called by the supervisor's main loop.
  package func watch() {
    let waiting = state.withLock { state in state.held.isEmpty ? [] : Array(state.held) }
    guard !waiting.isEmpty else { return }
    let now = monotonicClock()
    var isNews = false
    for (number, held) in waiting {
      guard let end = end(number, held, now) else { continue }
      // Answered meanwhile: then it is somebody else's.
      guard let held = remove(number, end == .timeout ? .timedOut : .cancelled) else { continue }
      isNews = true
      switch end {
      case .gone: PendingNotification.resume(held.parked).fail(EINTR)
      case .signal: Self.interrupt(.resume(held.parked))
      case .timeout:
        helpers.submit(.resume(held.parked), ApprovalReply(subject: held.subject, outcome: .timedOut))
      }
    }
    if isNews { changed() }
  }

  private func end(_ number: UInt64, _ held: Held, _ now: UInt64) -> End? {
    if !callWaits(held.parked.id, at: listener) { return .gone }
    if now >= held.deadline { return .timeout }
    switch PendingSignal(of: held.thread) {
    case .none:
      if held.sawSignal { state.withLock { $0.held[number]?.sawSignal = false } }
      return nil
    case .own: return .signal
    case .shared:
      // Another thread may take it; one that nobody takes is this one's.
      if held.sawSignal { return .signal }
      state.withLock { $0.held[number]?.sawSignal = true }
      return nil
    }
  }

  private func remove(_ number: UInt64, _ cause: ApprovalWithdrawal.Cause) -> Held? {
    state.withLock { state in
      guard let held = state.held.removeValue(forKey: number) else { return nil }
      if let connection = held.connection {
        state.withdrawn.append((ApprovalWithdrawal(number: number, cause: cause), connection))
      }
      return held
    }
  }

  /// As the kernel would: made again after the signal's handler or EINTR, as the handler has it. Where the signal may be
  /// another thread's, EINTR: ERESTARTSYS must not reach a thread that has no signal to take.
  private static func interrupt(_ notification: consuming PendingNotification) {
    switch PendingSignal(of: notification.thread) {
    case .own: notification.interrupt()
    case .shared, .none: notification.fail(EINTR)
    }
  }

  // MARK: the daemon

  /// What the daemon is to be told over connection number `connection`; each is told once.
  package func frames(for connection: UInt64) -> [[UInt8]] {
    state.withLock { state in
      guard !state.held.isEmpty || !state.withdrawn.isEmpty else { return [] }
      var result: [[UInt8]] = []
      for (withdrawal, told) in state.withdrawn where told == connection {
        result.append(frame(.approvalWithdrawn, withdrawal))
      }
      state.withdrawn = []
      let now = monotonicClock()
      for (number, held) in state.held.sorted(by: { $0.key < $1.key }) where held.connection != connection {
        guard now + Self.grace < held.deadline else { continue }
        var request = held.request
        request.milliseconds = UInt32(clamping: (held.deadline - Self.grace - now) / 1_000_000)
        state.held[number]?.connection = connection
        result.append(frame(.approvalRequest, request))
      }
      return result
    }
  }
}

extension ApprovalRequest {
  /// What is shown of a call: cut where it is long.
  init(_ subject: ApprovalSubject, number: UInt64, milliseconds: UInt32, pid: Int32, command: String) {
    func text(_ bytes: [UInt8]) -> String {
      let cut = bytes.count > Self.textLimit
      return String(decoding: bytes.prefix(Self.textLimit), as: UTF8.self) + (cut ? "…" : "")
    }
    var arguments: [String] = []
    var room = Self.argumentsLimit
    for argument in subject.arguments.dropFirst() {
      guard room > 0 else {
        arguments.append("…")
        break
      }
      arguments.append(text(argument))
      room -= argument.count + 16
    }
    self.init(
      number: number, kind: subject.kind, milliseconds: milliseconds, pid: pid,
      list: subject.decision.listCode,
      rule: subject.decision.rule, operation: subject.operation, target: text(subject.name),
      other: text(subject.other), command: command, arguments: arguments)
  }
}

extension Mediator {
  /// Holds the call for the question that has been noted. The receiver leaves that to a helper.
  func hold(_ notification: consuming PendingNotification, _ scratch: borrowing Scratch) {
    guard scratch.mayBlock else {
      handOver(notification)
      return
    }
    guard let question = scratch.question else {
      notification.fail(EACCES)
      return
    }
    let entry = processes.entry(notification.thread)
    let thread = notification.thread
    approvals.hold(
      notification, question, seconds: policy.approvalTimeout(question.decision),
      pid: entry?.process ?? thread, command: entry?.command ?? "")
  }
}
