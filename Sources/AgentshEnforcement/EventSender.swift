package import AgentshWire
import CLinux
import LinuxSystem
import Synchronization

/// Brings records to the daemon: in batches, each once stored for certain. While there is no daemon they go to the
/// spool; when that is full the session waits or ends, as the configuration says. Nothing is dropped in silence.
package final class EventSender: Sendable {
  /// Batches that were sent and not yet confirmed; beyond it the sender waits for the daemon.
  package static let unconfirmedLimit = 4 << 20

  private struct State {
    var channel: Channel?
    /// Counts connections.
    var connection: UInt64 = 1
    /// Sent and not confirmed: last record's number and the frame.
    var unconfirmed: [(last: UInt64, frame: [UInt8])] = []
    var unconfirmedBytes = 0
    /// `channel` is new, and nothing that was sent on the one before has been sent on it.
    var sendAgain = false
    var closing = false
    var finished = false
    var spooled = false
    var overflowed = false
    var failure: SystemCallError?
  }
  private let state: Mutex<State>
  private let changed = FutexWord()
  private let recorder: Recorder
  private let approvals: Approvals
  private let welcome: Welcome
  /// A spool that was opened for us; taken by the sender's thread.
  private let givenSpool: Int32?
  /// Called once when the spool is full and the configuration says `kill`.
  private let onOverflow: @Sendable () -> Void

  package init(
    channel: Channel, recorder: Recorder, approvals: Approvals, welcome: Welcome, spool: Int32? = nil,
    onOverflow: @escaping @Sendable () -> Void
  ) {
    var initial = State()
    initial.channel = channel
    state = Mutex(initial)
    self.recorder = recorder
    self.approvals = approvals
    self.welcome = welcome
    givenSpool = spool
    self.onOverflow = onOverflow
  }

  /// The connection in use; nil while there is none.
  package var channel: Channel? { state.withLock { $0.channel } }

  /// Everything up to `number` is stored.
  package func confirm(_ number: UInt64) {
    state.withLock { state in
      while let first = state.unconfirmed.first, first.last <= number {
        state.unconfirmedBytes -= first.frame.count
        state.unconfirmed.removeFirst()
      }
    }
    changed.wakeAll()
  }

  /// The connection broke, as its reader saw it.
  package func disconnect(_ channel: Channel) {
    state.withLock { if $0.channel === channel { $0.channel = nil } }
    changed.wakeAll()
    recorder.arrived.wakeOne()
  }

  /// A daemon has taken the session back: what it may not have stored is sent again before anything new, by the
  /// sender's thread, so that the order holds.
  package func reconnect(_ channel: Channel) {
    state.withLock { state in
      state.channel = channel
      state.connection += 1
      state.sendAgain = true
    }
    changed.wakeAll()
    recorder.arrived.wakeOne()
  }

  /// A daemon that gives no sign of life any more: what it has not confirmed goes to the spool. Should it have stored
  /// that all the same, it knows the numbers. `shutdown(2)` wakes whoever writes to it.
  package func giveUp(_ channel: Channel) {
    rawCall(Int(SYS_shutdown), Int(channel.descriptor), 2)
    disconnect(channel)
  }

  package enum Progress: Sendable { case working, stored, lost }

  /// Sends what there is and stops after it. Confirmations are still to be read: see `progress`.
  package func close() {
    state.withLock { $0.closing = true }
    recorder.arrived.wakeOne()
  }

  /// After `close()`: whether everything is stored, or waits in the spool because there is no daemon.
  package var progress: Progress {
    state.withLock { state in
      // What is sent and not confirmed is either confirmed yet, or goes to the spool.
      guard state.finished, state.unconfirmed.isEmpty else { return .working }
      return state.spooled ? .lost : .stored
    }
  }

  /// The session was ended because the spool could take no more.
  package var hasOverflowed: Bool { state.withLock { $0.overflowed } }

  /// Why not everything is stored, for the person; to be asked when `progress` is not `stored`.
  package var remark: String {
    let (spooled, failure) = state.withLock { ($0.finished && $0.spooled, $0.failure) }
    if spooled { return "events wait in \(welcome.spoolPath) until a daemon takes them" }
    let cause = failure.map { "\(welcome.spoolPath): \($0)" } ?? "the daemon has not confirmed them"
    return "the last events could not be stored (\(cause))"
  }

  /// The loop of the sender's thread.
  package func run() {
    var buffer = WireWriter()
    buffer.reserve(Recorder.bufferLimit + 65_536)
    var spool: Spool? = nil
    while true {
      let ticket = recorder.arrived.value
      let closing = state.withLock { $0.closing }
      _ = catchUp(&spool)
      tellApprovals()
      if let taken = recorder.drain(into: &buffer) {
        state.withLock { $0.finished = false }
        send(buffer.bytes, taken.first, taken.count, &spool)
        // What came meanwhile waits for more, so that a batch is worth its way.
      } else if closing, isDone(&spool) {
        return
      }
      if closing { continue }
      recorder.arrived.wait(while: ticket, milliseconds: 20)
    }
  }

  /// What is to be approved, and what need not be any more. Without a daemon it waits for one.
  private func tellApprovals() {
    let (channel, connection) = state.withLock { ($0.channel, $0.connection) }
    guard let channel else { return }
    for frame in approvals.frames(for: connection) where !deliver(frame, over: channel) { return }
  }

  /// Nothing comes any more: waits for the daemon's word on what it was sent. True when nothing of it is left.
  private func isDone(_ spool: inout Spool?) -> Bool {
    let ticket = changed.value
    let left = spool?.isEmpty == false
    let (done, connected) = state.withLock { state in
      state.finished = true
      state.spooled = left
      return (state.unconfirmed.isEmpty, state.channel != nil)
    }
    if done { return true }
    if connected { changed.wait(while: ticket, milliseconds: 20) } else { store(nil, &spool) }
    return false
  }

  /// Cuts a drained buffer into frames that fit.
  private func send(_ records: [UInt8], _ first: UInt64, _ count: UInt32, _ spool: inout Spool?) {
    var writer = WireWriter()
    writer.reserve(records.count + 64)
    writer.integer(UInt32(0))
    writer.byte(FrameKind.events.rawValue)
    writer.integer(first)
    writer.integer(count)
    writer.append(records)
    writer.patch(UInt32(writer.bytes.count - FrameHeader.size), at: 0)
    let frame = writer.bytes
    let last = first + UInt64(count) - 1
    while true {
      let ticket = changed.value
      let (channel, room) = state.withLock { ($0.channel, $0.unconfirmedBytes < Self.unconfirmedLimit) }
      guard let channel else {
        store((last, frame), &spool)
        return
      }
      guard catchUp(&spool) else { continue }
      if !room {
        changed.wait(while: ticket, milliseconds: 200)
        continue
      }
      state.withLock { state in
        state.unconfirmed.append((last, frame))
        state.unconfirmedBytes += frame.count
      }
      _ = deliver(frame, over: channel)
      return
    }
  }

  private func deliver(_ frame: [UInt8], over channel: Channel) -> Bool {
    do throws(Channel.Failure) {
      try channel.send(frame)
      return true
    } catch {
      disconnect(channel)
      return false
    }
  }

  /// Without a daemon: to disk. What was sent and never confirmed goes first, so that the order holds. What the disk
  /// does not take waits here until a daemon does, or room is there; meanwhile the recorder fills, and with it the
  /// supervised calls wait.
  private func store(_ batch: (last: UInt64, frame: [UInt8])?, _ spool: inout Spool?) {
    var waiting = state.withLock { state in
      defer {
        state.finished = false
        state.unconfirmed = []
        state.unconfirmedBytes = 0
      }
      return state.unconfirmed + (batch.map { [$0] } ?? [])
    }[...]
    while let next = waiting.first {
      if append(next.frame, &spool) {
        waiting.removeFirst()
      } else if let channel, catchUp(&spool) {
        keep(waiting)
        for (_, frame) in waiting where !deliver(frame, over: channel) { return }
        return
      } else {
        changed.wait(while: changed.value, milliseconds: 100)
      }
    }
  }

  private func makeSpool() throws(SystemCallError) -> Spool {
    guard let givenSpool else { return try Spool(path: welcome.spoolPath, limit: welcome.spoolLimit) }
    return Spool(owning: FileDescriptor(owning: givenSpool), limit: welcome.spoolLimit)
  }

  /// True when the spool has it. A full one ends the session where the configuration says so; what is left then, as at
  /// the session's own end, is bounded and goes in.
  private func append(_ frame: [UInt8], _ spool: inout Spool?) -> Bool {
    for _ in 0..<2 {
      let isLast = state.withLock { $0.closing || $0.overflowed }
      do throws(SystemCallError) {
        if spool == nil { spool = try makeSpool() }
        try spool?.append(frame, isLast: isLast)
        return true
      } catch {
        state.withLock { $0.failure = error }
        guard welcome.overflow == .kill, !isLast else { return false }
        state.withLock { $0.overflowed = true }
        onOverflow()
      }
    }
    return false
  }

  private func keep(_ frames: ArraySlice<(last: UInt64, frame: [UInt8])>) {
    state.withLock { state in
      state.unconfirmed += frames
      state.unconfirmedBytes += frames.reduce(0) { $0 + $1.frame.count }
    }
  }

  /// A daemon is there again: first what the one before may not have stored, then the spool. True when nothing older
  /// than the next batch is left to be sent.
  private func catchUp(_ spool: inout Spool?) -> Bool {
    let (channel, again) = state.withLock { state in
      defer { state.sendAgain = false }
      return (state.channel, state.sendAgain ? state.unconfirmed.map(\.frame) : [])
    }
    guard let channel else { return false }
    for frame in again where !deliver(frame, over: channel) { return false }
    guard spool?.isEmpty == false else { return true }
    do throws(SystemCallError) {
      let done = try spool?.drain { frame in
        var reader = WireReader(frame[5...])
        guard let first = try? reader.integer(UInt64.self), let count = try? reader.integer(UInt32.self)
        else { return true }
        keep([(first + UInt64(count) - 1, frame)])
        return deliver(frame, over: channel)
      }
      if done == true { return true }
    } catch {
      state.withLock { $0.failure = error }
      disconnect(channel)
    }
    // All of it is on disk still.
    state.withLock { state in
      state.unconfirmed = []
      state.unconfirmedBytes = 0
    }
    return false
  }
}
