import AgentshPolicy
import Testing

/// Two policies in one session: whatever one of them denies is denied, and what both permit is permitted.
@Suite struct NarrowingTests {
  private static let verdicts: [Verdict] = [.allow, .allow, .allow, .audit, .deny, .approve, .redirect]
  private static let paths = [
    "**", "/w/**", "/w/a/**", "**/.env", "/w/*", "/w/{a,b}/**", "/x/**", "/w/a", "/w/b", "/**/b",
  ]
  private static let names = [
    "/w", "/w/a", "/w/b", "/w/a/b", "/w/a/.env", "/x", "/x/a", "/x/b/.env", "/w/c/d", "/y/b", "@name",
    "/run/agentsh/s",
  ]

  private static func verdict(_ random: inout Seeded) -> Verdict {
    verdicts.randomElement(using: &random) ?? .deny
  }

  private static func rules(_ random: inout Seeded, _ prefix: String) -> PolicyRules {
    var rules = PolicyRules()
    rules.name = prefix
    rules.denyReadsByDefault = Bool.random(using: &random)
    for index in 0..<Int.random(in: 0...4, using: &random) {
      let all = Int.random(in: 0..<3, using: &random) == 0
      var file = FileRule(
        name: "\(prefix)-file\(index)", paths: [paths.randomElement(using: &random) ?? "**"],
        operations: all
          ? .all : FileOperations(rawValue: .random(in: 1...FileOperations.all.rawValue, using: &random)),
        decision: verdict(&random))
      if Int.random(in: 0..<4, using: &random) == 0 { file.operations = FileOperations(.truncate) }
      rules.fileRules.append(file)
      var socket = UnixSocketRule(
        name: "\(prefix)-unix\(index)", paths: [(paths + ["@*"]).randomElement(using: &random) ?? "**"],
        decision: verdict(&random))
      socket.operations = SocketOperations(rawValue: .random(in: 1...15, using: &random))
      rules.unixSocketRules.append(socket)
      var command = CommandRule(
        name: "\(prefix)-command\(index)",
        commands: [["*", "b", "/w/a", "/w/**", "a"].randomElement(using: &random) ?? "*"],
        decision: verdict(&random))
      if Bool.random(using: &random) { command.argumentPatterns = ["secret"] }
      if Bool.random(using: &random) { command.minDepth = 1 }
      rules.commandRules.append(command)
      var network = NetworkRule(name: "\(prefix)-net\(index)", decision: verdict(&random))
      if Bool.random(using: &random) { network.ports = [80, 443] }
      if Bool.random(using: &random) { network.ranges = [AddressRange(base: .v4(0x7F00_0000), bits: 8)] }
      rules.networkRules.append(network)
      var signal = SignalRule(
        name: "\(prefix)-signal\(index)", signals: .random(in: 0...(1 << 16), using: &random),
        target: [.session, .children, .external].randomElement(using: &random) ?? .session,
        decision: [.allow, .deny, .absorb, .redirect, .audit].randomElement(using: &random) ?? .deny)
      if signal.decision == .redirect { signal.redirectTo = .random(in: 1...3, using: &random) }
      rules.signalRules.append(signal)
    }
    return rules
  }

  /// A pair and each half alone.
  private struct Trio {
    let both: CompiledPolicy
    let main: CompiledPolicy
    let more: CompiledPolicy
    init(_ random: inout Seeded) throws {
      var first = NarrowingTests.rules(&random, "main")
      if Bool.random(using: &random) { first.floor = ["/run/agentsh"] }
      let second = NarrowingTests.rules(&random, "more")
      both = try CompiledPolicy(SessionRules(first, narrowedBy: second))
      main = try CompiledPolicy(first)
      more = try CompiledPolicy(second)
    }

    /// The pair's decision is the stricter of the two, by its own name.
    func check(_ decision: Decision, _ own: Decision, _ other: Decision) -> Bool {
      let isOwn = own.verdict.strictness >= other.verdict.strictness
      let name = isOwn ? main.ruleName(own) : "user:" + more.ruleName(other)
      return decision.permits == (own.permits && other.permits)
        && decision.verdict == (isOwn ? own.verdict : other.verdict)
        && decision.source == (isOwn ? .main : .narrowing) && both.ruleName(decision) == name
    }
  }

  private static let small = {
    var limits = PathCacheLimits()
    (limits.states, limits.cells, limits.members) = (64, 4096, 4096)
    return limits
  }()

  @Test
  func `a file, a socket or a command is permitted where both permit it, and the stricter rule is named`()
    throws
  {
    var random = Seeded(state: 5)
    var (permitted, denied) = (0, 0)
    for _ in 0..<1500 {
      let trio = try Trio(&random)
      var both = FileDecider(trio.both, limits: Self.small)
      var main = FileDecider(trio.main, limits: Self.small)
      var more = FileDecider(trio.more, limits: Self.small)
      for name in Self.names {
        let path = Array(name.utf8)
        for operation in FileOperation.allCases {
          let decision = both.decide(operation, path: path.span)
          if decision.permits { permitted += 1 } else { denied += 1 }
          #expect(
            trio.check(
              decision, main.decide(operation, path: path.span), more.decide(operation, path: path.span)))
        }
        let several: FileOperations = [.init(.write), .init(.truncate), .init(.create)]
        let all = both.decideAll(several, path: path.span)
        #expect(
          trio.check(all, main.decideAll(several, path: path.span), more.decideAll(several, path: path.span)))
        let cut = both.decideCut(path: path.span)?.permits ?? true
        let cuts = [
          main.decideCut(path: path.span)?.permits ?? true, more.decideCut(path: path.span)?.permits ?? true,
        ]
        #expect(cut == (cuts == [true, true]))
        for operation in SocketOperation.allCases {
          #expect(
            trio.check(
              both.decideSocket(operation, path: path.span), main.decideSocket(operation, path: path.span),
              more.decideSocket(operation, path: path.span)))
        }
        let request = CommandRequest(
          canonical: path, called: Array("/w/b".utf8), calledNameCounts: Bool.random(using: &random),
          arguments: Array((Bool.random(using: &random) ? "secret" : "x").utf8),
          depth: .random(in: 0...1, using: &random))
        #expect(
          trio.check(both.decideCommand(request), main.decideCommand(request), more.decideCommand(request)))
      }
    }
    #expect(
      permitted > 10_000 && denied > 10_000, "the generator has become pointless: \(permitted), \(denied)")
  }

  @Test func `a move is free only where it is by each policy alone`() throws {
    var random = Seeded(state: 6)
    var (free, held) = (0, 0)
    for _ in 0..<800 {
      let trio = try Trio(&random)
      var both = FileDecider(trio.both, limits: Self.small)
      var main = FileDecider(trio.main, limits: Self.small)
      var more = FileDecider(trio.more, limits: Self.small)
      for from in Self.names {
        for to in Self.names {
          let (old, new) = (Array(from.utf8), Array(to.utf8))
          let own = main.loosened(from: old.span, to: new.span) != nil
          let other = more.loosened(from: old.span, to: new.span) != nil
          #expect(both.loosened(from: old.span, to: new.span) == (own ? .main : other ? .narrowing : nil))
          let keeps = both.keepsRules(from: old.span, to: new.span)
          if keeps { free += 1 } else { held += 1 }
          #expect(
            keeps
              == (main.keepsRules(from: old.span, to: new.span)
                && more.keepsRules(from: old.span, to: new.span)))
        }
      }
    }
    #expect(free > 10_000 && held > 10_000, "the generator has become pointless: \(free), \(held)")
  }

  /// Each denies reading on one side: by both together neither side can be read, and yet the file stays.
  @Test func `what one policy denies does not move to where only the other denies it`() throws {
    func policy(_ path: String) -> PolicyRules {
      var rules = PolicyRules()
      rules.fileRules = [
        FileRule(name: "secret", paths: [path], operations: [.init(.read)], decision: .deny),
        FileRule(name: "rest", paths: ["**"], decision: .allow),
      ]
      return rules
    }
    var decider = FileDecider(try CompiledPolicy(SessionRules(policy("/a/**"), narrowedBy: policy("/b/**"))))
    let (a, b) = (Array("/a/x".utf8), Array("/b/x".utf8))
    #expect(!decider.decide(.read, path: a.span).permits && !decider.decide(.read, path: b.span).permits)
    #expect(decider.loosened(from: a.span, to: b.span) == .main)
    #expect(decider.loosened(from: b.span, to: a.span) == .narrowing)
  }

  @Test func `a connection is permitted where both permit it`() throws {
    var random = Seeded(state: 7)
    for _ in 0..<2000 {
      let trio = try Trio(&random)
      for address in [IPAddress.v4(0x7F00_0001), .v4(0x0808_0808), .v6(high: 0, low: 1), .v4(0)] {
        for port in [80, 443, 22] as [UInt16] {
          let decision = trio.both.decideNetwork(address: address, port: port)
          #expect(
            trio.check(
              decision, trio.main.decideNetwork(address: address, port: port),
              trio.more.decideNetwork(address: address, port: port)))
          if let uniform = trio.both.networkIsUniform { #expect(uniform.permits == decision.permits) }
        }
      }
      if let uniform = trio.both.commandIsUniform {
        #expect(
          uniform.permits
            == (trio.main.commandIsUniform?.permits == true && trio.more.commandIsUniform?.permits == true))
      }
      #expect(trio.both.restricted == trio.main.restricted.union(trio.more.restricted))
    }
  }

  @Test func `a signal is sent, or another instead, only where both have it so`() throws {
    var random = Seeded(state: 8)
    var (sent, instead) = (0, 0)
    for _ in 0..<4000 {
      let trio = try Trio(&random)
      if !trio.main.hasSignalRules || !trio.more.hasSignalRules { continue }
      for target in [SignalTarget.session, .children, .external] {
        let receiver = SignalReceiver(relations: SignalTargetSet(target), pid: 9, uid: 1, name: [])
        for signal in Int32(0)...4 {
          let decision = trio.both.decideSignal(signal, to: receiver)
          let halves = [(trio.main, PolicySource.main), (trio.more, .narrowing)]
          for (half, source) in halves {
            let alone = half.decideSignal(signal, to: receiver)
            #expect(decision.verdict.strictness >= alone.verdict.strictness)
            if decision.permits { #expect(alone.permits) }
            if alone.permits, decision.permits { sent += 1 }
            guard decision.verdict == .redirect, let other = trio.both.redirectedSignal(decision) else {
              continue
            }
            instead += 1
            // This one sends the same instead, or permits what the other sends.
            let same = alone.verdict == .redirect && half.redirectedSignal(alone) == other
            #expect(same || alone.permits && half.decideSignal(other, to: receiver).permits, "\(source)")
          }
        }
      }
    }
    #expect(sent > 1000 && instead > 500, "the generator has become pointless: \(sent), \(instead)")
  }

  @Test func `a policy that says nothing of signals leaves them in the tree beside one that does`() throws {
    var second = PolicyRules()
    second.signalRules = [
      SignalRule(name: "all", signals: .max, target: .external, decision: .allow),
      SignalRule(name: "own", signals: .max, target: .session, decision: .allow),
    ]
    for pair in [
      try SessionRules(PolicyRules(), narrowedBy: second),
      try SessionRules(second, narrowedBy: PolicyRules()),
    ] {
      let policy = try CompiledPolicy(pair)
      func permits(_ target: SignalTarget) -> Bool {
        let receiver = SignalReceiver(relations: SignalTargetSet(target), pid: 9, uid: 1, name: [])
        return policy.decideSignal(15, to: receiver).permits
      }
      #expect(permits(.session) && !permits(.external))
    }
  }

  @Test func `without a second policy every decision is the first one's`() throws {
    var random = Seeded(state: 9)
    let trio = try Trio(&random)
    #expect(trio.main.sources == [.main] && trio.both.sources == [.main, .narrowing])
    #expect(MemoryLayout<Decision>.size == 8)
    #expect(
      trio.main.rules.narrowing == nil && trio.main.rules.name == "main"
        && trio.both.rules.name == "main + more")
  }
}
