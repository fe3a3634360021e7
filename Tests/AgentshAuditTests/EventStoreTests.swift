import AgentshAudit
import AgentshEvent
import Foundation
import GRDB
import Synchronization
import Testing

@Suite struct EventStoreTests {
  let scratch: Scratch
  init() throws { scratch = try Scratch() }

  @Test func `what is stored comes back byte for byte, in both places`() async throws {
    let store = try EventStore(scratch.settings)
    let batch = records(1...3)
    #expect(try store.append(batch) == 3)
    let found = try await store.events(EventQuery(owner: 1000))
    #expect(found.map(\.json) == batch.map(json))
    #expect(try scratch.lines == batch.map(json))
  }

  @Test func `what is sent again is stored once`() async throws {
    let store = try EventStore(scratch.settings)
    try store.append(records(1...5))
    #expect(try store.append(records(3...8)) == 3)
    #expect(try await store.events(EventQuery(owner: nil)).count == 8)
    #expect(try scratch.lines.count == 8)
  }

  /// The Nth step fails, for every N; the caller keeps the batch and sends it again, as a supervisor does.
  @Test func `whichever step fails, nothing is lost and nothing is doubled`() async throws {
    struct Broken: Error {}
    for failing in 1...40 {
      let scratch = try Scratch()
      let step = Mutex(0)
      let store = try EventStore(scratch.settings) { _ in
        let now = step.withLock { value in
          value += 1
          return value
        }
        if now == failing { throw Broken() }
      }
      for first in stride(from: UInt64(1), through: 21, by: 5) {
        let batch = records(first...(first + 4))
        while true {
          do {
            try store.append(batch)
            break
          } catch { continue }
        }
      }
      let found = try await store.events(EventQuery(owner: nil))
      #expect(found.map(\.json) == records(1...25).map(json), "step \(failing)")
      #expect(try scratch.lines == records(1...25).map(json), "step \(failing)")
    }
  }

  @Test func `a batch that failed left nothing in either place`() async throws {
    struct Broken: Error {}
    let store = try EventStore(scratch.settings) { step in if step == .commit { throw Broken() } }
    #expect(throws: AuditError.self) { try store.append(records(1...5)) }
    #expect(try await store.events(EventQuery(owner: nil)).isEmpty)
    #expect(try scratch.lines.isEmpty)
  }

  @Test func `a full disk under the JSONL file refuses the batch`() async throws {
    var settings = scratch.settings
    settings.journalPath = "/dev/full"
    let store = try EventStore(settings)
    #expect(throws: AuditError.self) { try store.append(records(1...5)) }
    #expect(try await store.events(EventQuery(owner: nil)).isEmpty)
  }

  @Test func `a locked database refuses the batch after its time and takes it later`() async throws {
    var settings = scratch.settings
    settings.busySeconds = 0.05
    let store = try EventStore(settings)
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let other = try DatabaseQueue(path: settings.databasePath, configuration: configuration)
    try other.inDatabase { try $0.execute(sql: "BEGIN EXCLUSIVE") }
    #expect(throws: AuditError.self) { try store.append(records(1...2)) }
    #expect(try scratch.lines.isEmpty)
    try other.inDatabase { try $0.execute(sql: "ROLLBACK") }
    #expect(try store.append(records(1...2)) == 2)
    #expect(try scratch.lines.count == 2)
  }

  @Test func `lines that a crash left unacknowledged are cut off when the store opens`() async throws {
    do {
      let store = try EventStore(scratch.settings)
      try store.append(records(1...2))
    }
    let file = try #require(FileHandle(forWritingAtPath: scratch.path + "/events.jsonl"))
    try file.seekToEnd()
    try file.write(contentsOf: Data("{\"half\":".utf8))
    try file.close()
    let store = try EventStore(scratch.settings)
    try store.append(records(3...3))
    #expect(try scratch.lines == records(1...3).map(json))
  }

  @Test func `two processes may write: each event is in both places once`() async throws {
    var settings = scratch.settings
    settings.journalRotateAt = 20_000
    settings.journalsKept = 9
    let stores = try [EventStore(settings), EventStore(settings)]
    for number in UInt64(1)...100 {
      try stores[Int(number) % 2].append([record(number, stream: number % 2, path: "/p\(number % 7)")])
      if number == 50 { try stores[0].prune(before: 1_700_000_000_000_000_021) }
    }
    #expect(try await stores[0].events(EventQuery(owner: nil)).count == 80)
    var lines = try scratch.lines
    for index in 1...9 {
      let older = try? String(contentsOfFile: scratch.path + "/events.jsonl.\(index)", encoding: .utf8)
      lines += (older ?? "").split(separator: "\n").map(String.init)
    }
    #expect(lines.count == 100)
    #expect(Set(lines).count == 100)
    var query = EventQuery(owner: nil)
    query.path = "/p3"
    #expect(try await stores[1].events(query).count == 11)
  }

  @Test func `the JSONL file is set aside at its limit and the oldest goes`() async throws {
    var settings = scratch.settings
    settings.journalRotateAt = 100
    settings.journalsKept = 2
    let store = try EventStore(settings)
    for number in UInt64(1)...4 { try store.append(records(number...number)) }
    #expect(try scratch.lines == [json(record(4))])
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path).filter {
      $0.hasPrefix("events.jsonl")
    }
    #expect(names.sorted() == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"])
    #expect(try await store.events(EventQuery(owner: nil)).count == 4)
  }

  @Test func `a file that is not a database is an error that names it`() throws {
    try Data(repeating: 0x41, count: 8192).write(to: URL(filePath: scratch.path + "/events.db"))
    let error = #expect(throws: AuditError.self) { try EventStore(scratch.settings) }
    #expect(error?.description.contains(scratch.path + "/events.db") == true)
  }

  @Test func `old events go, in chunks, and positions are not used again`() async throws {
    let store = try EventStore(scratch.settings)
    try store.append((1...10).map { record($0, time: $0 * 100) })
    #expect(try store.prune(before: 1100, chunk: 6) == 6)
    #expect(try store.prune(before: 1100, chunk: 6) == 4)
    try store.append([record(11, time: 1100)])
    #expect(try await store.events(EventQuery(owner: nil)).map(\.position) == [11])
    #expect(try await store.lastPosition() == 11)
  }

  @Test func `files are readable by their owner only`() throws {
    _ = try EventStore(scratch.settings)
    let mode = try FileManager.default.attributesOfItem(atPath: scratch.path + "/events.jsonl")[
      .posixPermissions]
    #expect(mode as? Int == 0o600)
  }
}
