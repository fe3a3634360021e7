package import LinuxSystem
import Synchronization

/// Events on their way to the store. They are taken first (a frame as it came, in a file of its sender's) and stored
/// later, by one thread that stays out of the way of the work that the events come from; whoever asks for events has
/// what was taken before the question stored first (`catchUp`).
///
/// A crash of this process loses nothing that was taken; a power failure may lose the last moments, as it may of the
/// store. Events are stored in the order they were taken in.
package final class EventIntake: Sendable {
  /// Bytes of all frames that wait. Beyond it, who brings more stores first, at his own priority.
  package static let backlogLimit = 64 << 20
  /// A file is not appended to beyond this size.
  package static let fileLimit = 16 << 20
  /// The daemon's own events that may wait.
  package static let ownLimit = 10_000
  /// Between two tries of a store that refused.
  package static let retryMilliseconds = 500
  /// So long events gather before the thread stores the first of them.
  static let gatherMilliseconds = 100
  /// While events come, the thread works one part of its time in so many: what they come from goes first. After so long
  /// without one, or while somebody follows them, it does not rest.
  static let busyParts: UInt64 = 20
  static let quietMilliseconds: UInt64 = 200
  static let restMilliseconds = 500
  /// Bytes of frames in one transaction of the thread: a millisecond or two, for it holds up whoever asks meanwhile.
  static let chunkBytes = 24 << 10
  /// The same for somebody who waits for it.
  static let catchUpBytes = 256 << 10

  /// Steps that can fail; tests make them.
  package enum Step: Sendable { case written }

  package struct Settings: Sendable {
    package var directory: String
    package var backlogLimit = EventIntake.backlogLimit
    package var onStep: @Sendable (Step) throws(SystemCallError) -> Void = { _ in }
    package init(directory: String) { self.directory = directory }
  }

  /// What hears of it.
  package struct Listener: Sendable {
    /// After each transaction.
    package var onStored: @Sendable () -> Void = {}
    /// Once of each row of failures.
    package var onFailure: @Sendable (AuditError) -> Void = { _ in }
    /// A file or a frame that cannot be read, in words.
    package var onBad: @Sendable (String) -> Void = { _ in }
    /// Whether somebody follows the events: they are stored at once then.
    package var isWatched: @Sendable () -> Bool = { false }
    package init() {}
  }

  private enum Place {
    case file(IntakeFile, offset: Int)
    /// The disk did not take it.
    case memory(any IntakeSource, [UInt8])
  }
  private struct Entry {
    let place: Place
    let length: Int
    let isOwn: Bool
  }
  private struct State {
    var waiting: [Entry] = []
    var bytes = 0
    var own = 0
    /// Entries ever, and of these in the store.
    var taken: UInt64 = 0
    var stored: UInt64 = 0
    /// When the last was taken.
    var lastTaken: UInt64 = 0
    var lastError: AuditError?
    var isClosed = false
    var isAbandoned = false
    /// The thread sleeps until it is woken.
    var sleeps = false
  }
  private let state = Mutex(State())
  /// Held by whoever stores: in the order of arrival, one at a time.
  private let storing = Mutex(())
  private let changed = FutexWord()
  private let done = FutexWord()
  private let store: EventStore
  let settings: Settings
  private let listener: Listener

  /// Takes what an earlier daemon left in the directory (which exists, and is ours alone), then starts the thread.
  /// `decode` makes a source of a file's head.
  package init(
    _ settings: Settings, store: EventStore, decode: ([UInt8]) throws -> any IntakeSource,
    listener: Listener = Listener()
  ) throws(SystemCallError) {
    self.settings = settings
    self.store = store
    self.listener = listener
    takeLeftOver(decode)
    try NamedThread.start("audit") { self.run() }
  }

  private func takeLeftOver(_ decode: ([UInt8]) throws -> any IntakeSource) {
    for name in directoryNames(settings.directory).sorted() {
      let path = settings.directory + "/" + name
      if name.hasSuffix(IntakeFile.endingOfNew) { IntakeFile.removeUnfinished(path) }
      guard name.hasSuffix(IntakeFile.ending) else { continue }
      do throws(IntakeFile.Unusable) {
        guard let (file, frames) = try IntakeFile.open(path, decode) else { continue }
        for (offset, length) in frames {
          push(Entry(place: .file(file, offset: offset), length: length, isOwn: false))
        }
      } catch { listener.onBad("\(path) is kept: \(error.cause)") }
    }
  }

  // MARK: taking

  /// Why the store refused the last batch; nil while it takes them.
  package var failure: AuditError? { state.withLock { $0.lastError } }

  /// Whether everything that was taken is stored.
  package var isEmpty: Bool { state.withLock { $0.waiting.isEmpty } }

  /// Before a frame: with too much waiting, stores first. Blocks. Throws what the store says.
  func makeRoom() throws(AuditError) {
    if state.withLock({ $0.bytes >= settings.backlogLimit }) { try catchUp() }
  }

  /// Whether one more of the daemon's own events may wait.
  func admitOwn() throws(AuditError) {
    let refused: AuditError? = state.withLock { state in
      if state.isClosed { return .append(cause: "the daemon is ending") }
      guard state.own >= Self.ownLimit else { return nil }
      return state.lastError ?? .append(cause: "too many events wait")
    }
    if let refused { throw refused }
  }

  func take(_ file: IntakeFile, offset: Int, length: Int, isOwn: Bool) {
    push(Entry(place: .file(file, offset: offset), length: length, isOwn: isOwn))
  }

  /// One of the daemon's own that the disk did not take.
  func hold(_ frame: [UInt8], _ source: any IntakeSource) {
    push(Entry(place: .memory(source, frame), length: frame.count, isOwn: true))
  }

  private func push(_ entry: Entry) {
    let now = monotonicClock()
    let wakes = state.withLock { state in
      if state.isAbandoned { return false }
      state.waiting.append(entry)
      state.bytes += entry.length
      state.own += entry.isOwn ? 1 : 0
      state.taken += 1
      state.lastTaken = now
      defer { state.sleeps = false }
      return state.sleeps
    }
    if wakes || listener.isWatched() { changed.wakeOne() }
  }

  // MARK: storing

  /// Stores what was taken before; blocks. Throws what the store says: not everything is in it then.
  package func catchUp() throws(AuditError) {
    let target = state.withLock { $0.taken }
    while state.withLock({ $0.stored < target && !$0.waiting.isEmpty }) {
      try storeSome(Self.catchUpBytes)
    }
  }

  /// At least one frame, and no more than `bytes` of them; in one transaction.
  private func storeSome(_ bytes: Int) throws(AuditError) {
    try storing.withLock { _ throws(AuditError) in
      let entries = state.withLock { Self.first(bytes, of: $0.waiting) }
      if entries.isEmpty { return }
      var rows = AuditRows()
      for entry in entries { add(entry, to: &rows) }
      do throws(AuditError) { try store.append(rows) } catch {
        failed(error)
        throw error
      }
      let isAbandoned = state.withLock { state in
        // The next daemon finds it stored already.
        if state.isAbandoned { return true }
        state.waiting.removeFirst(entries.count)
        state.stored += UInt64(entries.count)
        for entry in entries {
          state.bytes -= entry.length
          state.own -= entry.isOwn ? 1 : 0
        }
        state.lastError = nil
        return false
      }
      if isAbandoned { return }
      for case .file(let file, _) in entries.lazy.map(\.place) { file.stored(1) }
    }
    listener.onStored()
  }

  private static func first(_ bytes: Int, of waiting: [Entry]) -> ArraySlice<Entry> {
    var count = 0
    var sum = 0
    while count < waiting.count, sum < bytes {
      sum += waiting[count].length
      count += 1
    }
    return waiting.prefix(count)
  }

  /// What was taken was checked before: a frame that is none now is a damaged file.
  private func add(_ entry: Entry, to rows: inout AuditRows) {
    switch entry.place {
    case .memory(let source, let frame):
      do { try source.add(frame[...], to: &rows) } catch { listener.onBad("an event is lost: \(error)") }
    case .file(let file, let offset):
      do {
        try file.source.add(try file.frame(at: offset, length: entry.length)[...], to: &rows)
      } catch {
        file.setAside()
        listener.onBad("\(file.path) is kept: no event frame at byte \(offset): \(error)")
      }
    }
  }

  private func failed(_ error: AuditError) {
    let isFirst = state.withLock { state in
      defer { state.lastError = error }
      return state.lastError == nil
    }
    if isFirst { listener.onFailure(error) }
  }

  // MARK: the thread

  /// Takes none of the daemon's own events any more and waits until all is stored, at most `milliseconds`; blocks. What
  /// is not stored then stays in its files for the next daemon. True when all is stored.
  package func close(milliseconds: Int) -> Bool {
    let seen = done.value
    state.withLock { $0.isClosed = true }
    changed.wakeAll()
    if !isEmpty { done.wait(while: seen, milliseconds: milliseconds) }
    return state.withLock { state in
      let isStored = state.waiting.isEmpty
      state.isAbandoned = true
      // The files stay; their locks go.
      if !isStored { state.waiting = [] }
      return isStored
    }
  }

  private func run() {
    // Batch: woken, it does not push a running program aside, but has its share all the same.
    lowerThreadPriority()
    while true {
      let seen = changed.value
      let (isIdle, isClosed) = state.withLock { state in
        state.sleeps = state.waiting.isEmpty && !state.isClosed
        return (state.waiting.isEmpty, state.isClosed)
      }
      if isIdle {
        if isClosed { return done.wakeAll() }
        changed.wait(while: seen)
        if !isUrgent { changed.wait(while: changed.value, milliseconds: Self.gatherMilliseconds) }
        continue
      }
      let began = monotonicClock()
      do throws(AuditError) { try storeSome(Self.chunkBytes) } catch {
        if state.withLock({ $0.isAbandoned }) { return }
        changed.wait(while: changed.value, milliseconds: Self.retryMilliseconds)
        continue
      }
      if !isUrgent { rest(from: began, while: seen) }
    }
  }

  private var isUrgent: Bool { listener.isWatched() || state.withLock { $0.isClosed } }

  /// A priority is only weighed within the group of the daemon's own processes (autogroups, control groups), and a
  /// thread on the free processor makes the wake-ups of a supervised call cross processors: so it keeps to its part of
  /// the time itself.
  private func rest(from began: UInt64, while seen: UInt32) {
    let now = monotonicClock()
    let isQuiet = state.withLock { $0.lastTaken + Self.quietMilliseconds * 1_000_000 < now }
    if isQuiet { return }
    let milliseconds = Int((now - began) * (Self.busyParts - 1) / 1_000_000)
    changed.wait(while: seen, milliseconds: min(milliseconds, Self.restMilliseconds))
  }
}
