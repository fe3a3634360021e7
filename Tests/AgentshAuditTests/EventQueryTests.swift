import AgentshAudit
import AgentshEvent
import Testing

@Suite struct EventQueryTests {
  let scratch: Scratch
  let store: EventStore

  init() throws {
    scratch = try Scratch()
    store = try EventStore(scratch.settings)
    try store.append([
      record(1, path: "/srv/ws/a"),
      record(2, type: "execve", path: "/srv/ws"),
      record(3, decision: "deny", path: "/srv/ws/secret/key"),
      record(4, session: "s2", path: "/srv/wsx"),
      record(5, session: "s3", owner: 0, path: "/root/x"),
      record(6, decision: "audit", path: "/srv/ws/a%b"),
    ])
  }

  private func positions(_ change: (inout EventQuery) -> Void) async throws -> [Int64] {
    var query = EventQuery(owner: 1000)
    change(&query)
    return try await store.events(query).map(\.position)
  }

  @Test func `only the owner's events are found, unless everybody's are asked for`() async throws {
    #expect(try await positions { _ in } == [1, 2, 3, 4, 6])
    #expect(try await positions { $0.sessionID = "s3" } == [])
    #expect(try await positions { $0.owner = nil } == [1, 2, 3, 4, 5, 6])
  }

  @Test func `session, type and decision`() async throws {
    #expect(try await positions { $0.sessionID = "s2" } == [4])
    #expect(try await positions { $0.types = ["execve"] } == [2])
    #expect(try await positions { $0.types = ["execve", "file_open", "x"] } == [1, 2, 3, 4, 6])
    #expect(try await positions { $0.decision = "deny" } == [3])
    #expect(try await positions { $0.decision = "audit" } == [6])
    #expect(try await positions { $0.decision = "allow" } == [1, 2, 4])
    let everybody = { (query: inout EventQuery) in
      query.owner = nil
      query.decision = "deny"
    }
    #expect(try await positions(everybody) == [3])
    #expect(
      try await positions {
        $0.sessionID = "s2"
        $0.decision = "deny"
      } == [])
    #expect(
      try await positions {
        $0.path = "/srv/ws/secret"
        $0.decision = "deny"
      } == [3])
  }

  /// Few among many are looked for: it does not go through all of them.
  @Test func `denials, and what is new, are found however much there is`() async throws {
    /// The shortest of many: whatever else the machine does adds to the others.
    func time(_ change: (inout EventQuery) -> Void) async throws -> Duration {
      var query = EventQuery(owner: 1000)
      change(&query)
      var shortest = Duration.seconds(60)
      for _ in 0..<50 {
        let start = ContinuousClock.now
        _ = try await store.events(query)
        shortest = min(shortest, ContinuousClock.now - start)
      }
      return shortest
    }
    let last: UInt64 = 1_700_000_000_000_040_009
    let queries: [(inout EventQuery) -> Void] = [
      { $0.decision = "deny" }, { $0.decision = "soft_delete" }, { $0.since = last },
    ]
    var few: [Duration] = []
    for query in queries { few.append(try await time(query)) }
    try store.append((10...40_009).map { record($0, path: "/srv/ws/a") })
    #expect(try await positions { $0.since = last }.count == 1)
    for (query, before) in zip(queries, few) {
      // Going through them takes 20 times as long and more.
      let now = try await time(query)
      #expect(now < before * 5, "\(before) \(now)")
    }
  }

  @Test func `a path is itself and what is below it, a pattern is a pattern`() async throws {
    #expect(try await positions { $0.path = "/srv/ws" } == [1, 2, 3, 6])
    #expect(try await positions { $0.path = "/srv/ws/" } == [1, 2, 3, 6])
    #expect(try await positions { $0.path = "/" } == [1, 2, 3, 4, 6])
    #expect(try await positions { $0.path = "/srv/ws/sec*" } == [3])
    #expect(try await positions { $0.path = "/srv/ws?" } == [4])
    #expect(try await positions { $0.path = "/srv/ws/a%b" } == [6])
  }

  @Test func `time is from inclusive to exclusive`() async throws {
    let base: UInt64 = 1_700_000_000_000_000_000
    #expect(
      try await positions {
        $0.since = base + 2
        $0.until = base + 4
      } == [2, 3])
    #expect(try await positions { $0.since = .max } == [])
  }

  @Test func `order, limit and position`() async throws {
    #expect(
      try await positions {
        $0.order = .descending
        $0.limit = 2
      } == [6, 4])
    #expect(try await positions { $0.after = 3 } == [4, 6])
    #expect(try await positions { $0.limit = -1 } == [])
    #expect(try await positions { $0.limit = .max } == [1, 2, 3, 4, 6])
  }

  @Test func `quotes in what is asked for are text`() async throws {
    #expect(try await positions { $0.sessionID = "s1' OR '1'='1" } == [])
  }
}
