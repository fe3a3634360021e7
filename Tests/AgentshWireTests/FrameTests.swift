import AgentshPolicy
import AgentshWire
import Testing

/// The value comes back; cut at any byte it is an error; with a byte more it is an error; with any byte changed it is
/// an error or a value, never a crash.
private func checkCoding<T: WireCodable & Equatable>(_ value: T) throws {
  let bytes = encoded(value)
  #expect(try decoded(T.self, bytes) == value)
  for length in 0..<bytes.count {
    #expect(throws: WireError.self) { try decoded(T.self, Array(bytes[..<length])) }
  }
  #expect(throws: WireError.trailing(offset: bytes.count, extra: 1)) { try decoded(T.self, bytes + [0]) }
  var random = SplitMix(state: 1)
  for index in bytes.indices {
    var changed = bytes
    changed[index] = UInt8.random(in: .min ... .max, using: &random)
    _ = try? decoded(T.self, changed)
  }
}

private func checkNoise<T: WireCodable>(_ type: T.Type) {
  var random = SplitMix(state: 7)
  for _ in 0..<5000 {
    var bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in
      UInt8.random(in: .min ... .max, using: &random)
    }
    // Small counts get further than random ones.
    for index in bytes.indices where index % 4 != 0 && Bool.random(using: &random) { bytes[index] = 0 }
    _ = try? decoded(type, bytes)
  }
}

@Suite struct FrameTests {
  @Test func `a welcome with a whole policy comes back as it went`() throws {
    try checkCoding(Samples.welcome)
  }
  @Test func `an empty policy comes back as it went`() throws { try checkCoding(PolicyRules()) }
  @Test func `a policy with every field comes back as it went`() throws { try checkCoding(Samples.rules) }
  @Test func `a policy and what narrows it come back as they went`() throws {
    try checkCoding(SessionRules(Samples.rules))
    try checkCoding(Samples.narrowed)
    var welcome = Samples.welcome
    welcome.policy = try Samples.narrowed
    try checkCoding(welcome)
  }

  @Test func `policies that do not go together are refused on the wire, too`() throws {
    var writer = WireWriter()
    var other = Samples.rules
    other.environment.inject = ["K": "another"]
    writer.value(Samples.rules)
    writer.value(Optional(other))
    #expect(throws: WireError.self) { try decoded(SessionRules.self, writer.bytes) }
  }

  @Test func `ready comes back as it went`() throws { try checkCoding(Samples.ready) }
  @Test func `finished comes back as it went`() throws {
    try checkCoding(Samples.finished)
    try checkCoding(Samples.finishedUnseen)
  }
  @Test func `events come back as they went`() throws { try checkCoding(Samples.batch) }
  @Test func `hello comes back as it went`() throws { try checkCoding(Samples.hello) }

  @Test func `approvals come back as they went`() throws {
    try checkCoding(Samples.request)
    for word in [ApprovalAnswer.Word.denied, .approved, .limit] {
      try checkCoding(ApprovalAnswer(number: 1 << 40, word: word))
    }
    try checkCoding(ApprovalWithdrawal(number: 4, cause: .timedOut))
    try checkCoding(ApprovalWithdrawal(number: 5, cause: .cancelled))
  }

  @Test func `an answer to an approval has these bytes`() {
    let bytes: [UInt8] = [
      9, 0, 0, 0,  // payload length
      4,  // kind: approvalAnswer
      7, 0, 0, 0, 0, 0, 0, 0,  // number
      1,  // approved
    ]
    #expect(frame(.approvalAnswer, ApprovalAnswer(number: 7, word: .approved)) == bytes)
    // A word that is none is nobody's approval.
    #expect(throws: WireError.self) { try decoded(ApprovalAnswer.self, Array(bytes[5..<13]) + [3]) }
  }

  @Test func `random bytes never crash`() {
    checkNoise(ApprovalRequest.self)
    checkNoise(ApprovalAnswer.self)
    checkNoise(ApprovalWithdrawal.self)
    checkNoise(Welcome.self)
    checkNoise(PolicyRules.self)
    checkNoise(SessionRules.self)
    checkNoise(FileRule.self)
    checkNoise(CommandRule.self)
    checkNoise(NetworkRule.self)
    checkNoise(UnixSocketRule.self)
    checkNoise(SignalRule.self)
    checkNoise(Ready.self)
    checkNoise(Finished.self)
    checkNoise(EventBatch.self)
    checkNoise(EventRecord.self)
    checkNoise(Hello.self)
    checkNoise([String: String].self)
  }

  @Test func `ready has these bytes`() {
    let bytes: [UInt8] = [
      21, 0, 0, 0,  // payload length
      16,  // kind: ready
      7, 0, 0, 0,  // supervisor's pid
      8, 0, 0, 0,  // target's pid
      1, 0, 0, 0,  // one sentence
      5, 0, 0, 0, 0x61, 0x20, 0x6C, 0x20, 0x62,  // "a l b"
    ]
    #expect(frame(.ready, Ready(supervisorPid: 7, targetPid: 8, degraded: ["a l b"])) == bytes)
  }

  @Test func `finished has these bytes`() {
    let bytes: [UInt8] = [
      12, 0, 0, 0,  // payload length
      18,  // kind: finished
      0x89, 0, 0, 0,  // exit code 137
      3, 0, 0, 0, 0, 0, 0, 0,  // denied
    ]
    #expect(frame(.finished, Samples.finished) == bytes)
  }

  @Test func `hello has these bytes`() {
    let bytes: [UInt8] =
      [
        45, 0, 0, 0,  // payload length
        20,  // kind: hello
        1, 0, 0, 0, 0x73,  // "s"
        5, 0, 0, 0,  // pid
        32, 0, 0, 0,  // key's length
      ] + Samples.key
    #expect(frame(.hello, Samples.hello) == bytes)
  }

  @Test func `a file rule has these bytes`() {
    var rule = FileRule(name: "n", paths: ["/p"], operations: [.init(.open), .init(.read)], decision: .deny)
    rule.timeoutSeconds = 5
    let bytes: [UInt8] = [
      1, 0, 0, 0, 0x6E,  // name
      0, 0, 0, 0,  // description
      1, 0, 0, 0, 2, 0, 0, 0, 0x2F, 0x70,  // one path, "/p"
      3, 0, 0, 0,  // operations: open 1, read 2
      1,  // deny
      0, 0, 0, 0,  // message
      1, 5, 0, 0, 0,  // timeout: there, 5 s
      0,  // redirect_to: absent
      0,  // preserve_tree
    ]
    #expect(encoded(rule) == bytes)
  }

  @Test func `address ranges and maps have these bytes`() {
    #expect(encoded(AddressRange(base: .v4(0x0A00_0001), bits: 8)) == [4, 1, 0, 0, 0x0A, 8])
    let six = encoded(AddressRange(base: .v6(high: 0xFD00 << 48, low: 1), bits: 64))
    #expect(six == [6, 0, 0, 0, 0, 0, 0, 0, 0xFD, 1, 0, 0, 0, 0, 0, 0, 0, 64])
    // Keys ascend, whatever the order in memory.
    #expect(
      encoded(["b": "", "a": "x"]) == [
        2, 0, 0, 0, 1, 0, 0, 0, 0x61, 1, 0, 0, 0, 0x78, 1, 0, 0, 0, 0x62, 0, 0, 0, 0,
      ])
  }

  @Test func `what has no meaning is refused`() {
    #expect(throws: WireError.badValue(offset: 0, what: "decision")) { try decoded(Verdict.self, [7]) }
    #expect(throws: WireError.badValue(offset: 0, what: "signal target")) {
      try decoded(SignalTarget.self, [11])
    }
    #expect(throws: WireError.badValue(offset: 0, what: "file operations")) {
      try decoded(FileOperations.self, [0, 0, 0, 0x80])
    }
    #expect(throws: WireError.badValue(offset: 0, what: "socket operations")) {
      try decoded(SocketOperations.self, [16])
    }
    #expect(throws: WireError.badValue(offset: 0, what: "address family")) {
      try decoded(AddressRange.self, [5])
    }
    #expect(throws: WireError.badValue(offset: 0, what: "prefix length")) {
      try decoded(AddressRange.self, [4, 0, 0, 0, 0, 33])
    }
    #expect(throws: WireError.badValue(offset: 12, what: "key out of order")) {
      try decoded(
        [String: String].self, [2, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0])
    }
    #expect(throws: WireError.badValue(offset: 0, what: "policy version")) {
      try decoded(PolicyRules.self, [UInt8](repeating: 0, count: 100))
    }
    var short = Samples.hello
    short.reattachKey = [1, 2, 3]
    #expect(throws: WireError.badValue(offset: 9, what: "reattach key")) {
      try decoded(Hello.self, encoded(short))
    }
  }

  @Test func `counts that the bytes cannot hold allocate nothing`() {
    #expect(throws: WireError.self) { try decoded([String].self, [0xFF, 0xFF, 0xFF, 0x00]) }
    #expect(throws: WireError.tooLong(offset: 0, length: 0xFFFF_FFFF, limit: WireReader.lengthLimit)) {
      try decoded(String.self, [0xFF, 0xFF, 0xFF, 0xFF])
    }
  }

  @Test func `a frame's header is read strictly`() throws {
    #expect(try FrameHeader([5, 0, 0, 0, 17]) == FrameHeader(length: 5, kind: .events))
    #expect(throws: WireError.badValue(offset: 4, what: "frame kind")) { try FrameHeader([0, 0, 0, 0, 99]) }
    #expect(throws: WireError.self) { try FrameHeader([1, 0, 0, 1, 17]) }
    #expect(throws: WireError.self) { try FrameHeader([0, 0, 0, 0]) }
    #expect(throws: WireError.self) { try FrameHeader([0, 0, 0, 0, 17, 0]) }
  }

  @Test func `names that are not UTF-8 arrive with replacement characters`() throws {
    #expect(try decoded(String.self, [2, 0, 0, 0, 0x61, 0xFF]) == "a\u{FFFD}")
  }

  /// One byte of a batch changed, added or missing, everywhere.
  @Test func `a batch is checked as strictly as it is decoded`() throws {
    var record = EventRecord(kind: .exec, timestamp: 5, pid: 6)
    record.command = "sh"
    record.path = "/bin/sh"
    record.argv = ["sh", "-c"]
    var writer = WireWriter()
    writer.value(EventBatch(first: 3, records: [record, EventRecord(kind: .file, timestamp: 1, pid: 2)]))
    let payload = writer.bytes
    let whole = try EventBatch.check(payload)
    #expect(whole.first == 3 && whole.count == 2)
    var changed = (0..<payload.count).map { Array(payload.prefix($0)) } + [payload + [0]]
    for index in payload.indices {
      for value: UInt8 in [0, 1, 3, 9, 255] {
        var bytes = payload
        bytes[index] = value
        changed.append(bytes)
      }
    }
    for bytes in changed {
      #expect(
        count { try EventBatch.check(bytes).count }
          == count { try decoded(EventBatch.self, bytes).records.count })
    }
  }

  /// How many records; nil for what is refused, wherever it was noticed.
  private func count(_ body: () throws -> Int) -> Int? { try? body() }
}
