import AgentshAudit
import AgentshEvent
import Foundation
import LinuxSystem
import Synchronization
import Testing

/// Frames of the tests: one byte, the number of the event. Byte 255 is none.
private struct Bytes: IntakeSource {
  struct None: Error {}
  func add(_ frame: ArraySlice<UInt8>, to rows: inout AuditRows) throws {
    // Each number once: the same one again would be passed over.
    var known: Set<UInt8> = []
    for byte in frame where known.insert(byte).inserted {
      if byte == 255 { throw None() }
      let record = record(UInt64(byte))
      rows.add(
        AuditRows.Row(
          stream: record.stream, number: record.number, owner: record.owner, session: "s1",
          time: record.event.timestamp, type: record.event.type, path: record.event.path)
      ) { record.event.write(to: &$0) }
    }
  }
}

/// Refuses while it is told to.
private final class Gate: Sendable {
  struct Closed: Error {}
  private let isClosed = Mutex(false)
  func close() { isClosed.withLock { $0 = true } }
  func open() { isClosed.withLock { $0 = false } }
  func pass() throws { if isClosed.withLock({ $0 }) { throw Closed() } }
  func passDisk() throws(SystemCallError) {
    // ENOSPC
    if isClosed.withLock({ $0 }) { throw SystemCallError("pwrite", 28) }
  }
}

@Suite struct EventIntakeTests {
  let scratch: Scratch
  let directory: String
  private let storeGate = Gate()
  private let diskGate = Gate()

  init() throws {
    scratch = try Scratch()
    directory = scratch.path + "/intake"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  private func makeStore() throws -> EventStore {
    let gate = storeGate
    return try EventStore(scratch.settings) { step in if step == .insert { try gate.pass() } }
  }

  private func makeIntake(_ store: EventStore, limit: Int = 1 << 20) throws -> EventIntake {
    var settings = EventIntake.Settings(directory: directory)
    settings.backlogLimit = limit
    let gate = diskGate
    settings.onStep = { _ throws(SystemCallError) in try gate.passDisk() }
    return try EventIntake(settings, store: store, decode: { _ in Bytes() })
  }

  private func stream(_ intake: EventIntake) -> StreamIntake {
    StreamIntake(intake, stream: 7, source: Bytes()) { [1, 2, 3] }
  }

  private var files: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
  }

  private func stored(_ store: EventStore) async throws -> [String] {
    try await store.events(EventQuery(owner: nil)).map(\.json)
  }

  private func expected(_ numbers: ClosedRange<UInt64>) -> [String] { records(numbers).map(json) }

  @Test func `what was taken before a question is stored before its answer, in order`() async throws {
    let store = try makeStore()
    let intake = try makeIntake(store)
    let stream = stream(intake)
    for number in UInt8(1)...50 {
      try stream.append([number])
      if number % 10 == 0 {
        try intake.catchUp()
        #expect(try await stored(store) == expected(1...UInt64(number)))
      }
    }
    #expect(intake.isEmpty)
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `the thread stores by itself`() async throws {
    let store = try makeStore()
    let intake = try makeIntake(store)
    let stream = stream(intake)
    try stream.append([1, 2, 3])
    for _ in 0..<500 where !intake.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    #expect(try await stored(store) == expected(1...3))
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `a file is its owner's alone, and goes when all of it is stored and nothing more comes`()
    async throws
  {
    let store = try makeStore()
    let intake = try makeIntake(store)
    let stream = stream(intake)
    try stream.append([1])
    let file = try #require(files.first)
    #expect(files.count == 1 && file.hasSuffix(".intake"))
    let mode = try FileManager.default.attributesOfItem(atPath: directory + "/" + file)[.posixPermissions]
    #expect(mode as? Int == 0o600)
    try intake.catchUp()
    #expect(files.count == 1)
    try stream.append([2])
    stream.finish()
    try intake.catchUp()
    #expect(files.isEmpty)
    // What comes all the same begins another file.
    try stream.append([3])
    stream.finish()
    #expect(intake.close(milliseconds: 5000))
    #expect(files.isEmpty)
    #expect(try await stored(store) == expected(1...3))
  }

  @Test func `a daemon that died loses nothing: the next one takes its files`() async throws {
    let store = try makeStore()
    storeGate.close()
    do {
      let intake = try makeIntake(store)
      let stream = stream(intake)
      try stream.append([1, 2])
      try stream.append([3])
      #expect(throws: AuditError.self) { try intake.catchUp() }
      #expect(intake.failure != nil)
      #expect(!intake.close(milliseconds: 50))
    }
    #expect(files.count == 1)
    storeGate.open()
    let next = try makeIntake(store)
    try next.catchUp()
    #expect(try await stored(store) == expected(1...3))
    #expect(files.isEmpty)
    #expect(next.close(milliseconds: 5000))
  }

  @Test func `a daemon that died between storing and deleting doubles nothing`() async throws {
    let store = try makeStore()
    try store.append(records(1...3))
    try leave(frames: [[1, 2], [3], [4]], torn: [])
    let intake = try makeIntake(store)
    try intake.catchUp()
    #expect(try await stored(store) == expected(1...4))
    #expect(try scratch.lines == expected(1...4))
    #expect(files.isEmpty)
    #expect(intake.close(milliseconds: 5000))
  }

  @Test(arguments: [
    [], [1], [1, 0, 0], [1, 0, 0, 0], [9, 0, 0, 0, 1, 2, 3], [0, 0, 0, 0], [255, 255, 255, 255, 1],
  ])
  func `a last frame that is not whole was never confirmed and is cut off`(torn: [UInt8]) async throws {
    let store = try makeStore()
    try leave(frames: [[1], [2]], torn: torn)
    let intake = try makeIntake(store)
    try intake.catchUp()
    #expect(try await stored(store) == expected(1...2))
    #expect(files.isEmpty)
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `a file that is none is kept under another name, and the others are taken`() async throws {
    let store = try makeStore()
    try Data("something else".utf8).write(to: URL(filePath: directory + "/0.intake"))
    try Data("half".utf8).write(to: URL(filePath: directory + "/1.intake-new"))
    try leave(frames: [[1], [255], [2]], torn: [])
    let intake = try makeIntake(store)
    try intake.catchUp()
    #expect(try await stored(store) == expected(1...2))
    #expect(files == ["0.intake-bad", "left.intake-bad"])
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `a full disk takes nothing, leaves nothing half written, and takes it later`() async throws {
    let store = try makeStore()
    let intake = try makeIntake(store)
    let stream = stream(intake)
    diskGate.close()
    #expect(throws: AuditError.self) { try stream.append([1]) }
    #expect(files.isEmpty)
    diskGate.open()
    try stream.append([1])
    let path = try directory + "/" + #require(files.first)
    let size = try Data(contentsOf: URL(filePath: path)).count
    diskGate.close()
    #expect(throws: AuditError.self) { try stream.append([2]) }
    #expect(try Data(contentsOf: URL(filePath: path)).count == size)
    // The daemon's own wait in memory.
    try stream.appendOwn([2])
    diskGate.open()
    try stream.append([3])
    try intake.catchUp()
    #expect(try await stored(store) == expected(1...3))
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `at the limit, who brings more stores first, and is refused while the store refuses`()
    async throws
  {
    let store = try makeStore()
    storeGate.close()
    let intake = try makeIntake(store, limit: 4)
    let stream = stream(intake)
    for number in UInt8(1)...4 { try stream.append([number]) }
    #expect(throws: AuditError.self) { try stream.append([5]) }
    storeGate.open()
    try stream.append([5])
    // All but the one that it brought.
    #expect(try await stored(store).count >= 4)
    try intake.catchUp()
    #expect(try await stored(store) == expected(1...5))
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `a file of which all is stored begins anew, and a full one is followed by another`() async throws
  {
    let store = try makeStore()
    let intake = try makeIntake(store, limit: 1 << 30)
    let stream = stream(intake)
    let frame = [UInt8](repeating: 1, count: 1 << 20)
    storeGate.close()
    for _ in 0..<17 { try stream.append(frame) }
    #expect(files.count == 2)
    storeGate.open()
    #expect(intake.close(milliseconds: 60_000))
    #expect(try await stored(store) == expected(1...1))
    #expect(files.count == 1)
    let path = try directory + "/" + #require(files.first)
    #expect(try Data(contentsOf: URL(filePath: path)).count < 100)
  }

  @Test func `two daemons of one user leave each other's files alone`() async throws {
    let store = try makeStore()
    storeGate.close()
    let intake = try makeIntake(store)
    let stream = stream(intake)
    try stream.append([1])
    let other = try makeIntake(store)
    #expect(other.isEmpty)
    storeGate.open()
    #expect(other.close(milliseconds: 5000))
    #expect(files.count == 1)
    try intake.catchUp()
    #expect(try await stored(store) == expected(1...1))
    #expect(intake.close(milliseconds: 5000))
  }

  @Test func `too many of the daemon's own events are refused, and all when it ends`() throws {
    let store = try makeStore()
    storeGate.close()
    let intake = try makeIntake(store)
    let stream = stream(intake)
    for _ in 0..<EventIntake.ownLimit { try stream.appendOwn([1]) }
    #expect(throws: AuditError.self) { try stream.appendOwn([1]) }
    // A supervisor's still have room.
    try stream.append([2])
    _ = intake.close(milliseconds: 10)
    #expect(throws: AuditError.self) { try stream.appendOwn([1]) }
  }

  /// A file as a daemon that died leaves it.
  private func leave(frames: [[UInt8]], torn: [UInt8]) throws {
    var bytes = Array("agentsh intake 1\n".utf8) + [3, 0, 0, 0] + [1, 2, 3]
    for frame in frames { bytes += [UInt8(frame.count), 0, 0, 0] + frame }
    try Data(bytes + torn).write(to: URL(filePath: directory + "/left.intake"))
  }
}
