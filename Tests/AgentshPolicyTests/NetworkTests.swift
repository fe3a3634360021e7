import AgentshPolicy
import Testing

struct NetworkTests {
  @Test(
    "Addresses are read in every form and written in one",
    arguments: [
      ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
      ("::", "::"), ("::1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1::", "1::"),
      ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("::ffff:10.0.0.1", "10.0.0.1"),
      ("::ffff:a00:1", "10.0.0.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
      ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
      ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ])
  func addresses(_ row: (text: String, written: String)) {
    #expect(IPAddress(parsing: row.text)?.description == row.written)
  }

  @Test(
    "What is not an address is not one",
    arguments: [
      "", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "1.2.3.4 ", "0x1.2.3.4", ":", ":::",
      "1::2::3",
      "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::",
      "fe80::1%eth0",
      "::g", "1:2:3:4:5:6:7:1.2.3.4", "::1::", "1:", ":1",
    ])
  func notAddresses(_ text: String) { #expect(IPAddress(parsing: text) == nil) }

  @Test("Ranges hold their addresses")
  func ranges() throws {
    let ten = try #require(AddressRange(parsing: "10.1.2.3/8"))
    #expect(ten == AddressRange(base: .v4(10 << 24), bits: 8))
    #expect(ten.contains(.v4(10 << 24 | 5)) && !ten.contains(.v4(11 << 24)))
    #expect(AddressRange(parsing: "::ffff:10.0.0.0/104") == ten)
    let host = try #require(AddressRange(parsing: "::1/128"))
    #expect(host.contains(.v6(high: 0, low: 1)) && !host.contains(.v6(high: 0, low: 2)))
    let half = try #require(AddressRange(parsing: "fd00::/65"))
    #expect(
      half.contains(.v6(high: 0xFD00 << 48, low: 1)) && !half.contains(.v6(high: 0xFD00 << 48, low: 1 << 63)))
    let every = try #require(AddressRange(parsing: "0.0.0.0/0"))
    #expect(every.contains(.v4(.max)) && !every.contains(.v6(high: 0, low: 1)))
    for text in [
      "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/08", "x/8", "10.0.0.0/8/8", "10.0.0.0/",
    ] {
      #expect(AddressRange(parsing: text) == nil, "\(text)")
    }
  }

  private static func policy(_ rules: NetworkRule...) throws -> CompiledPolicy {
    var all = PolicyRules()
    all.networkRules = rules
    return try CompiledPolicy(all)
  }

  private static func rule(
    _ name: String, _ decision: Verdict, domains: [String] = [], ports: [UInt16] = [], ranges: [String] = []
  ) -> NetworkRule {
    var rule = NetworkRule(name: name, decision: decision)
    rule.domains = domains
    rule.ports = ports
    rule.ranges = ranges.compactMap { AddressRange(parsing: $0) }
    return rule
  }

  private static func decide(_ policy: CompiledPolicy, _ address: String, _ port: UInt16) throws -> String {
    let decision = policy.decideNetwork(address: try #require(IPAddress(parsing: address)), port: port)
    return "\(decision.verdict.word) \(policy.ruleName(decision))"
  }

  @Test("Each kind that is given must match, inside a kind any may, and the first rule wins")
  func decides() throws {
    let policy = try Self.policy(
      Self.rule("metadata", .deny, ranges: ["169.254.169.254/32"]),
      Self.rule("names", .allow, domains: ["*.example.com", "example.com"]),
      Self.rule("local", .allow, domains: ["localhost"], ports: [8080, 9090]),
      Self.rule("literal", .audit, domains: ["192.0.2.7", "[2001:db8::1]"]),
      Self.rule("private", .allow, ports: [443], ranges: ["10.0.0.0/8", "fd00::/8"]))
    #expect(try Self.decide(policy, "169.254.169.254", 80) == "deny metadata")
    #expect(try Self.decide(policy, "::ffff:169.254.169.254", 80) == "deny metadata")
    #expect(try Self.decide(policy, "127.3.2.1", 8080) == "allow local")
    #expect(try Self.decide(policy, "::1", 9090) == "allow local")
    #expect(try Self.decide(policy, "0.0.0.0", 9090) == "allow local")
    #expect(try Self.decide(policy, "::", 9090) == "allow local")
    #expect(try Self.decide(policy, "127.0.0.1", 80) == "deny default-deny-network")
    #expect(try Self.decide(policy, "192.0.2.7", 1) == "audit literal")
    #expect(try Self.decide(policy, "2001:db8::1", 1) == "audit literal")
    #expect(try Self.decide(policy, "10.9.8.7", 443) == "allow private")
    #expect(try Self.decide(policy, "10.9.8.7", 80) == "deny default-deny-network")
    #expect(try Self.decide(policy, "93.184.216.34", 443) == "deny default-deny-network")
    #expect(policy.networkIsUniform == nil)
  }

  @Test("One answer for every address is found where there is one")
  func uniform() throws {
    let name = Self.rule("n", .allow, domains: ["example.com"])
    #expect(try Self.policy().networkIsUniform?.verdict == .deny)
    #expect(try Self.policy(name).networkIsUniform?.verdict == .deny)
    #expect(try Self.policy(name, Self.rule("a", .allow, domains: ["*"])).networkIsUniform?.rule == 1)
    #expect(try Self.policy(Self.rule("a", .allow, ranges: ["0.0.0.0/0"])).networkIsUniform == nil)
    #expect(
      try Self.policy(Self.rule("a", .allow, ranges: ["0.0.0.0/0", "::/0"])).networkIsUniform?.verdict
        == .allow)
    #expect(try Self.policy(Self.rule("a", .allow, domains: ["*"], ports: [443])).networkIsUniform == nil)
  }
}

struct SignalTests {
  @Test("Signals have names, numbers and groups")
  func names() {
    #expect(SignalSet(parsing: "SIGTERM")?.bits == 1 << 14)
    #expect(SignalSet(parsing: "term") == SignalSet(parsing: "15"))
    #expect(SignalSet(parsing: "@all")?.bits == .max)
    #expect(SignalSet(parsing: "@job")?.bits == [19, 18, 20, 21, 22].reduce(0) { $0 | 1 << ($1 - 1) })
    #expect(SignalSet(parsing: "SIGRTMIN+2")?.bits == 1 << 35)
    for text in ["", "0", "65", "SIGNOTHING", "@none", "-1", "SIG9"] {
      #expect(SignalSet(parsing: text) == nil, "\(text)")
    }
    #expect(SignalSet.name(of: 9) == "SIGKILL" && SignalSet.name(of: 36) == "SIGRTMIN+2")
  }

  @Test("The first rule for the signal and its receiver decides")
  func decides() throws {
    var rules = PolicyRules()
    rules.signalRules = [
      SignalRule(name: "self", signals: .max, target: .self, decision: .allow),
      SignalRule(name: "kids", signals: 1 << 14, target: .children, decision: .allow),
      SignalRule(name: "daemon", signals: .max, target: .process, decision: .deny),
      SignalRule(name: "user", signals: .max, target: .user, decision: .audit),
      SignalRule(name: "range", signals: .max, target: .pidRange, decision: .allow),
    ]
    rules.signalRules[2].targetPattern = "ssh*"
    rules.signalRules[3].targetPattern = "1000"
    (rules.signalRules[4].targetMin, rules.signalRules[4].targetMax) = (100, 200)
    let policy = try CompiledPolicy(rules)
    func decide(
      _ signal: Int32, _ relations: SignalTargetSet, pid: Int32 = 1, uid: UInt32 = 0, name: String = "x"
    ) -> String {
      let receiver = SignalReceiver(relations: relations, pid: pid, uid: uid, name: Array(name.utf8))
      return policy.ruleName(policy.decideSignal(signal, to: receiver))
    }
    #expect(decide(9, SignalTargetSet(.self)) == "self")
    #expect(decide(15, SignalTargetSet(.children)) == "kids")
    #expect(decide(9, SignalTargetSet(.children)) == "default-deny-signals")
    #expect(decide(9, [], uid: 1000, name: "sshd") == "daemon")
    #expect(decide(9, [], uid: 1000) == "user")
    #expect(decide(9, [], pid: 150) == "range")
    #expect(decide(0, SignalTargetSet(.children)) == "kids")
    #expect(decide(65, SignalTargetSet(.self)) == "default-deny-signals")
    rules.signalRules[3].targetPattern = "root"
    #expect(throws: PolicyError.self) { try CompiledPolicy(rules) }
  }
}

struct EnvironmentTests {
  private static func kept(
    _ names: [String], allow: [String] = [], deny: [String] = []
  ) throws -> [String] {
    let filter = try EnvironmentFilter(allow: allow, deny: deny, maxBytes: nil, maxKeys: nil)
    return try filter.filter(names.map { Array("\($0)=v".utf8) }).map {
      String(decoding: $0.dropLast(2), as: UTF8.self)
    }
  }

  @Test("Without an allow list everything passes but secrets and hooks")
  func builtIn() throws {
    let secret = [
      "LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "AWS_REGION", "MY_TOKEN", "my_api_key", "SSH_AUTH_SOCK",
      "BASH_FUNC_ls%%",
      "GIT_CONFIG_COUNT", "PGPASSWORD", "OPENAI_API_KEY", "NODE_OPTIONS", "ENV", "PROMPT_COMMAND",
      "A_ACCESS_KEY",
    ]
    #expect(
      try Self.kept(secret + ["PATH", "HOME", "TOKENS", "LANG", "MONKEY"]) == [
        "PATH", "HOME", "TOKENS", "LANG", "MONKEY",
      ])
  }

  @Test("deny comes first, allow narrows, and only an exact name unlocks a secret")
  func lists() throws {
    #expect(try Self.kept(["A", "AB", "B"], allow: ["A*"], deny: ["AB"]) == ["A"])
    #expect(try Self.kept(["MY_TOKEN", "PATH"], allow: ["*"]) == ["PATH"])
    #expect(try Self.kept(["MY_TOKEN", "X_TOKEN"], allow: ["*", "MY_TOKEN"]) == ["MY_TOKEN"])
    #expect(try Self.kept(["MY_TOKEN"], allow: ["MY_TOKEN"], deny: ["*"]) == [])
    #expect(try Self.kept(["a/b", "c"], deny: ["*"]) == [])
    #expect(try Self.kept(["A_TOKEN"], allow: ["A_TOKE[N]"]) == [])
  }

  @Test("Over a maximum nothing starts")
  func maximum() throws {
    let one = try EnvironmentFilter(allow: [], deny: ["C"], maxBytes: nil, maxKeys: 1)
    #expect(throws: EnvironmentError.tooManyKeys(count: 2, maximum: 1)) {
      try one.filter([Array("A=".utf8), Array("B=".utf8)])
    }
    #expect(try one.filter([Array("A=".utf8), Array("C=".utf8)]) == [Array("A=".utf8)])
    let small = try EnvironmentFilter(allow: [], deny: [], maxBytes: 6, maxKeys: nil)
    #expect(throws: Never.self) { try small.filter([Array("AB=12".utf8)]) }
    #expect(throws: EnvironmentError.tooManyBytes(count: 7, maximum: 6)) {
      try small.filter([Array("AB=123".utf8)])
    }
  }

  @Test("A wrong pattern is refused with its place")
  func wrongPattern() {
    let error = #expect(throws: EnvironmentError.self) {
      try EnvironmentFilter(allow: ["A", "[x"], deny: [], maxBytes: nil, maxKeys: nil)
    }
    #expect(error == .badPattern(field: "allow", item: 1, PatternError(offset: 0, cause: "[ without ]")))
  }
}
