import AgentshEvent
import AgentshPolicy
import AgentshServer
import AgentshSession
import AgentshWire
import Testing

@Suite struct RecordConversionTests {
  private var conversion: RecordConversion {
    var rules = PolicyRules()
    var rule = FileRule(name: "deny-secrets", paths: ["/srv/**"], decision: .deny)
    rule.message = "off limits"
    rules.fileRules = [rule]
    return RecordConversion(sessionID: "s", rules: rules)
  }

  private func json(_ record: EventRecord) -> String {
    String(decoding: conversion.event(record).json, as: UTF8.self)
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
    let event = conversion.event(record)
    #expect(event.type == "execve" && event.filename == "/usr/bin/dash" && event.rawFilename == "sh")
    #expect(event.argv == ["sh", "-c", "x"] && event.parentPid == 4 && event.depth == 2)
    #expect(event.policy?.rule == "default-deny-execve" && event.source == nil)
  }

  @Test func `a connection says where to`() {
    var record = EventRecord(kind: .connect, timestamp: 1, pid: 5)
    record.path = "[::1]:80"
    #expect(conversion.event(record).domain == "::1")
    record.path = "127.0.0.1:80"
    #expect(conversion.event(record).domain == "127.0.0.1")
    #expect(conversion.event(record).type == "net_connect")
  }

  @Test func `numbers that name nothing do not stop anything`() {
    var record = EventRecord(kind: .file, timestamp: 1, pid: 5)
    record.operation = 200
    record.verdict = 99
    record.list = 99
    record.rule = 1_000_000
    record.call = 65_535
    let event = conversion.event(record)
    #expect(event.type == "file_op" && event.policy?.decision == "unknown")
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
