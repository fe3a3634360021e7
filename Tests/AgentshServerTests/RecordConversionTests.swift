import AgentshAudit
import AgentshEvent
import AgentshPolicy
import AgentshServer
import AgentshSession
import AgentshWire
import Testing

@Suite struct RecordConversionTests {
  private var rules: PolicyRules {
    var rules = PolicyRules()
    var rule = FileRule(name: "deny-secrets", paths: ["/srv/**"], decision: .deny)
    rule.message = "off limits"
    rules.fileRules = [rule]
    return rules
  }

  private func json(_ record: EventRecord, _ session: SessionRules? = nil) -> String {
    var rows = AuditRows()
    let session = session ?? SessionRules(rules)
    RecordConversion(stream: 1, owner: 1000, sessionID: "s", rules: session).add(
      record, number: 1, to: &rows)
    return String(decoding: rows.lines.dropLast(), as: UTF8.self)
  }

  @Test func `a rule of a policy that narrows is told from the operator's of the same number`() throws {
    var own = PolicyRules()
    own.fileRules = [FileRule(name: "deny-secrets", paths: ["/home/**"], decision: .deny)]
    let both = try SessionRules(rules, narrowedBy: own)
    var record = EventRecord(kind: .file, timestamp: 0, pid: 1)
    record.verdict = Verdict.deny.rawValue
    for (source, rule, text) in [
      (.main, 0, #""rule":"deny-secrets","message":"off limits""#),
      (.narrowing, 0, #""rule":"user:deny-secrets"}"#),
      (.main, -3, #""rule":"default-deny-files"}"#), (.narrowing, -3, #""rule":"user:default-deny-files"}"#),
      (.narrowing, 1, #""rule":"user:rule-2"}"#),
    ] as [(PolicySource, Int32, String)] {
      record.list = Decision(verdict: .deny, list: .file, rule: rule, source: source).listCode
      record.rule = rule
      #expect(json(record, both).contains(text), "\(json(record, both))")
    }
    // A supervisor that has one policy and names another's rule.
    #expect(json(record).contains(#""rule":"rule-2""#), "\(json(record))")
  }

  /// Every kind with every combination of what decides about its fields, and numbers that name nothing.
  @Test func `lines are, byte for byte, what an event of these fields is in JSON`() {
    let reference = ReferenceConversion(sessionID: "s", rules: rules)
    var generator = SystemRandomNumberGenerator()
    let texts = [
      "", "/srv/a", "[::1]:80", "127.0.0.1:80", "\u{7F}\"\\\n\u{1}ä", String(repeating: "/long", count: 99),
    ]
    func text() -> String { texts.randomElement(using: &generator) ?? "" }
    for round in 0..<20_000 {
      let kind = EventRecord.Kind(rawValue: UInt8.random(in: 1...9)) ?? .file
      var record = EventRecord(
        kind: kind, timestamp: .random(in: 0...UInt64.max >> (round % 8 * 4)),
        pid: .random(in: -3...Int32.max))
      record.latencyNanoseconds = .random(in: 0...(.max))
      record.parentPid = .random(in: -1...2)
      record.depth = .random(in: 0...2)
      record.call = [42, 59, 257, 316, 0, 65_535].randomElement(using: &generator) ?? 0
      record.operation = .random(in: 0...30)
      record.effect = EventRecord.Effect(rawValue: .random(in: 0...2)) ?? .allowed
      record.errno = .random(in: 0...2)
      record.verdict = .random(in: 0...8) | .random(in: 0...6) << 4
      record.list = .random(in: 0...7)
      record.rule = .random(in: -20...2)
      record.command = text()
      record.rawPath = text()
      record.path = text()
      record.path2 = text()
      record.argv = (0..<Int.random(in: 0...3)).map { _ in text() }
      let expected = String(decoding: reference.event(record).json, as: UTF8.self)
      #expect(json(record) == expected)
    }
  }

  @Test func `a refused rename has upstream's fields`() {
    var record = EventRecord(kind: .file, timestamp: 1_795_454_044_170_202_278, pid: 9157)
    record.call = 316
    record.operation = FileOperation.rename.rawValue
    record.effect = .blocked
    record.errno = 13
    record.verdict = Verdict.deny.rawValue
    record.rule = 0
    record.path = "/srv/ws/zf"
    record.path2 = "/srv/ws/secret/zf"
    record.latencyNanoseconds = 12_500
    #expect(
      json(record)
        == #"{"id":"file-9157-1795454044170202278","timestamp":"2026-11-23T17:14:04.170202278Z","type":"file_rename","session_id":"s","source":"seccomp","pid":9157,"policy":{"decision":"deny","effective_decision":"deny","rule":"deny-secrets","message":"off limits"},"path":"/srv/ws/zf","operation":"rename","effective_action":"blocked","fields":{"errno":13,"latency_us":12,"path2":"/srv/ws/secret/zf","syscall":"renameat2"}}"#
    )
  }

  @Test func `an exec says file, arguments and depth`() {
    var record = EventRecord(kind: .exec, timestamp: 1, pid: 5)
    record.parentPid = 4
    record.depth = 2
    record.path = "/usr/bin/dash"
    record.rawPath = "sh"
    record.argv = ["sh", "-c", "x"]
    record.rule = Decision.Default.denyExecve.rawValue
    record.list = RuleList.command.rawValue
    #expect(
      json(record)
        == #"{"id":"execve-5-1","timestamp":"1970-01-01T00:00:00.000000001Z","type":"execve","session_id":"s","pid":5,"policy":{"decision":"allow","effective_decision":"allow","rule":"default-deny-execve"},"parent_pid":4,"depth":2,"path":"/usr/bin/dash","filename":"/usr/bin/dash","raw_filename":"sh","argv":["sh","-c","x"],"effective_action":"allowed","fields":{"latency_us":0,"syscall":"syscall_0"}}"#
    )
  }

  @Test func `a connection says where to`() {
    var record = EventRecord(kind: .connect, timestamp: 1, pid: 5)
    record.path = "[::1]:80"
    #expect(json(record).contains(#""domain":"::1","remote":"[::1]:80""#))
    record.path = "127.0.0.1:80"
    #expect(json(record).contains(#""domain":"127.0.0.1","remote":"127.0.0.1:80""#))
    #expect(json(record).contains(#""type":"net_connect""#))
  }

  @Test func `numbers that name nothing do not stop anything`() {
    var record = EventRecord(kind: .file, timestamp: 1, pid: 5)
    record.operation = 200
    record.verdict = 99
    record.list = 99
    record.rule = 1_000_000
    record.call = 65_535
    #expect(json(record).contains(#""type":"file_op""#))
    #expect(json(record).contains(#""policy":{"decision":"unknown""#))
  }

  @Test func `times are read as RFC 3339 writes them`() {
    #expect(nanoseconds(rfc3339: "1970-01-01T00:00:01Z") == 1_000_000_000)
    #expect(nanoseconds(rfc3339: "2026-11-23T17:14:03.412499223Z") == 1_795_454_043_412_499_223)
    #expect(nanoseconds(rfc3339: "2026-11-23T18:14:03.5+01:00") == 1_795_454_043_500_000_000)
    for bad in [
      "", "2026", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-01-01T00:00:00",
      "2026-01-01T00:00:00Zx",
    ] {
      #expect(nanoseconds(rfc3339: bad) == nil, "\(bad)")
    }
    for time in stride(from: UInt64(0), to: 4_000_000_000_000_000_000, by: 86_399_999_999_999_937) {
      #expect(nanoseconds(rfc3339: rfc3339(time)) == time)
    }
  }
}
