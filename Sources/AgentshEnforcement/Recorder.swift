package import AgentshPolicy
package import AgentshWire
package import LinuxSystem
package import Seccomp
import Synchronization

/// Takes records from the threads that answered and keeps them, in wire form, for the thread that sends them.
///
/// A record is made after the answer. The buffer is made once; when it is full the recording thread waits, and with
/// it the next supervised call: nothing is dropped in silence.
package final class Recorder: Sendable {
  package static let bufferLimit = 8 << 20
  /// The sender is woken before its time when so much waits.
  package static let wakeMark = 1 << 20

  private struct State {
    var writer = WireWriter()
    var count: UInt32 = 0
    var first: UInt64 = 1
    var closed = false
  }
  private let state: Mutex<State>
  private let room = FutexWord()
  private let waiting = Atomic(0)
  /// Whether somebody waits for room.
  var isWaiting: Bool { waiting.load(ordering: .relaxed) > 0 }
  package let arrived = FutexWord()
  private let deniedCount = Atomic<UInt64>(0)
  private let processes: ProcessTable
  private let logAllowed: Bool

  package init(processes: ProcessTable, logAllowed: Bool) {
    self.processes = processes
    self.logAllowed = logAllowed
    var initial = State()
    initial.writer.reserve(Self.bufferLimit + 65_536)
    state = Mutex(initial)
  }

  /// The decision that kept the agent itself from starting, if there was one.
  package var refusedStart: Decision? { refused.withLock { $0 } }
  private let refused = Mutex<Decision?>(nil)
  private let started = Atomic<Bool>(false)

  package var denied: UInt64 { deniedCount.load(ordering: .relaxed) }

  /// What happened to one call.
  package struct Outcome {
    package var kind: EventRecord.Kind
    package var thread: Int32
    package var call: Int32
    package var operation: UInt8
    package var decision: Decision
    /// 0, or what the caller got.
    package var errno: Int32
    /// From `monotonicClock`, when the call was received.
    package var started: UInt64
    /// It was not stopped: permitted, or carried out in the rule's way.
    package var isDone: Bool

    package init(
      _ kind: EventRecord.Kind, _ notification: borrowing PendingNotification, operation: UInt8,
      decision: Decision,
      errno: Int32, started: UInt64, isDone: Bool? = nil
    ) {
      self.kind = kind
      thread = notification.thread
      call = notification.call
      self.operation = operation
      self.decision = decision
      self.errno = errno
      self.started = started
      self.isDone = isDone ?? decision.permits
    }
  }

  /// Records a call on one or two names. To be called after the answer. `raw` is left out where it equals `name`.
  package func record(_ outcome: Outcome, raw: PathText, name: PathText, other: PathText? = nil) {
    let blocked = !outcome.isDone
    if blocked { deniedCount.add(1, ordering: .relaxed) }
    guard blocked || logAllowed || outcome.decision.isAlwaysRecorded else { return }
    let latency = UInt32(truncatingIfNeeded: min(monotonicClock() &- outcome.started, UInt64(UInt32.max)))
    let entry = processes.entry(outcome.thread)
    append { writer in
      Self.header(outcome, blocked: blocked, latency: latency, entry: entry, to: &writer)
      writer.value(entry?.command ?? "")
      if raw == name { writer.integer(UInt32(0)) } else { writer.raw(raw.span) }
      writer.raw(name.span)
      if let other { writer.raw(other.span) } else { writer.integer(UInt32(0)) }
      writer.integer(UInt32(0))
    }
  }

  /// Records an exec with its arguments, or a call whose object is text rather than a path. `reason`: why no rule was asked.
  package func record(
    _ outcome: Outcome, rawPath: String, path: String, argv: [String], reason: String = ""
  ) {
    let blocked = !outcome.isDone
    if blocked { deniedCount.add(1, ordering: .relaxed) }
    if outcome.kind == .exec, !started.load(ordering: .relaxed) { noteStart(outcome, blocked: blocked) }
    guard blocked || logAllowed || outcome.decision.isAlwaysRecorded else { return }
    let latency = UInt32(truncatingIfNeeded: min(monotonicClock() &- outcome.started, UInt64(UInt32.max)))
    let entry = processes.entry(outcome.thread)
    append { writer in
      Self.header(outcome, blocked: blocked, latency: latency, entry: entry, to: &writer)
      writer.value(entry?.command ?? "")
      writer.value(rawPath == path ? "" : rawPath)
      writer.value(path)
      writer.value(reason)
      writer.value(argv)
    }
  }

  /// The first exec of all is the launcher's, which becomes the agent or is refused.
  private func noteStart(_ outcome: Outcome, blocked: Bool) {
    if blocked { refused.withLock { $0 = outcome.decision } }
    started.store(true, ordering: .relaxed)
  }

  /// Records something of the session's life; always kept.
  package func lifecycle(_ sentence: String, errno: Int32 = 0, counted: Bool = false) {
    var record = EventRecord(kind: .lifecycle, timestamp: wallClock(), pid: currentProcess())
    record.path = sentence
    record.errno = UInt16(truncatingIfNeeded: errno)
    record.effect = counted ? .blocked : .allowed
    if counted { deniedCount.add(1, ordering: .relaxed) }
    append { $0.value(record) }
  }

  /// The order of `EventRecord.encode`, without making one: the hot path allocates nothing.
  private static func header(
    _ outcome: Outcome, blocked: Bool, latency: UInt32, entry: ProcessTable.Entry?,
    to writer: inout WireWriter
  ) {
    writer.byte(outcome.kind.rawValue)
    writer.integer(wallClock() &- UInt64(latency))
    writer.integer(latency)
    writer.integer(entry?.process ?? outcome.thread)
    writer.integer(entry?.parent ?? 0)
    writer.integer(entry?.depth ?? 0)
    writer.integer(UInt16(truncatingIfNeeded: outcome.call))
    writer.byte(outcome.operation)
    let effect: EventRecord.Effect = blocked ? .blocked : outcome.errno == 0 ? .allowed : .failed
    writer.byte(effect.rawValue)
    writer.integer(UInt16(truncatingIfNeeded: outcome.errno))
    writer.byte(outcome.decision.verdictCode)
    writer.byte(outcome.decision.listCode)
    writer.integer(outcome.decision.rule)
  }

  private func append(_ body: (inout WireWriter) -> Void) {
    while true {
      let ticket = room.value
      let size: Int? = state.withLock { state in
        guard state.writer.bytes.count < Self.bufferLimit || state.closed else { return nil }
        body(&state.writer)
        state.count += 1
        return state.writer.bytes.count
      }
      if let size {
        if size > Self.wakeMark { arrived.wakeOne() }
        return
      }
      arrived.wakeOne()
      waiting.add(1, ordering: .relaxed)
      room.wait(while: ticket, milliseconds: 100)
      waiting.subtract(1, ordering: .relaxed)
    }
  }

  /// Takes everything that waits: the number of the first record, how many, and their bytes. nil when nothing does.
  package func drain(into buffer: inout WireWriter) -> (first: UInt64, count: UInt32)? {
    buffer.removeAll()
    let taken: (UInt64, UInt32)? = state.withLock { state in
      guard state.count > 0 else { return nil }
      swap(&state.writer, &buffer)
      let result = (state.first, state.count)
      state.first += UInt64(state.count)
      state.count = 0
      return result
    }
    if taken != nil { room.wakeAll() }
    return taken
  }
}

extension Decision {
  /// Also where what is allowed is not: what was to be recorded, what somebody approved, and where things are now.
  fileprivate var isAlwaysRecorded: Bool {
    verdict == .audit || verdict == .approve || verdict == .softDelete
  }
}
