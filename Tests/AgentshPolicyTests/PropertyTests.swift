import AgentshPolicy
import Testing

struct PropertyTests {
  private static let pieces = [
    "a", "b", "c", ".", "é", "/", "/", "/", "*", "*", "**", "/**", "/**/", "**/", "?", "[ab]", "[!a]",
    "[a-c]", "[!é]",
    "[é-ü]", "{a,b}", "{,a}", "{/,b/}", "{**,c}", "{a*,{b,?}}", "\\*", "\\a", "€",
  ]
  private static let characters: [[UInt8]] = [
    [0x61], [0x61], [0x62], [0x63], [0x2E], [0x2F], [0x2F], [0x2F], Array("é".utf8), Array("€".utf8), [0xC3],
    [0xA9],
    [0xE2, 0x82], [0xFF], [0x2A], [0x00], Array("🎉".utf8), [0xF0, 0x9F],
  ]

  private static func pattern(_ random: inout Seeded) -> String {
    var result = ["/", "/", "/", "**/", "**", "*"].randomElement(using: &random) ?? "/"
    for _ in 0..<Int.random(in: 0...6, using: &random) {
      result += pieces.randomElement(using: &random) ?? ""
    }
    return result
  }

  private static func path(_ random: inout Seeded) -> [UInt8] {
    let plain = Int.random(in: 0..<3, using: &random) > 0
    var result: [UInt8] = Int.random(in: 0..<20, using: &random) == 0 ? [] : [0x2F]
    for _ in 0..<Int.random(in: 0...9, using: &random) {
      result += characters[Int.random(in: 0..<(plain ? 9 : characters.count), using: &random)]
    }
    return result
  }

  @Test("A million random paths are decided as the plain matcher decides, the first matching rule first")
  func agreesWithReference() throws {
    var random = Seeded(state: 42)
    var (roomy, tight) = (PathCacheLimits(), PathCacheLimits())
    roomy.states = 1024
    (tight.states, tight.members, tight.pathsBetweenFlushes) = (10, 40, 2)
    var wrong: [String] = []
    var matched = 0
    for round in 0..<25_000 {
      let patterns = (0..<4).map { _ in Self.pattern(&random) }
      var rules = PolicyRules()
      rules.fileRules = patterns.map { FileRule(name: $0, paths: [$0], decision: .allow) }
      // Every other list has so little memory that the automaton is given up and begun again all the time.
      var decider = FileDecider(try CompiledPolicy(rules), limits: round % 2 == 0 ? roomy : tight)
      let references = patterns.map(ReferenceGlob.init)
      for _ in 0..<40 {
        let path = Self.path(&random)
        let characters = ReferenceGlob.characters(of: path)
        let expected = references.firstIndex { $0.matches(characters) } ?? -3
        let decision = decider.decide(.write, path: path.span)
        if expected >= 0 { matched += 1 }
        if Int(decision.rule) != expected {
          wrong.append("\(patterns) on \(path): \(decision.rule), not \(expected)")
        }
      }
      if wrong.count > 3 { break }
    }
    #expect(wrong.isEmpty)
    #expect((200_000...900_000).contains(matched), "the generator has become pointless: \(matched)")
  }

  @Test("Base names of commands are decided as the plain matcher decides about what follows the last slash")
  func baseNames() throws {
    var random = Seeded(state: 11)
    var wrong: [String] = []
    var matched = 0
    for _ in 0..<5000 {
      let patterns = (0..<3).map { _ in
        let pieces = (0...3).compactMap { _ in
          Self.pieces.filter { !$0.contains("/") }.randomElement(using: &random)
        }
        return pieces.joined()
      }
      var rules = PolicyRules()
      rules.commandRules = patterns.map { CommandRule(name: $0, commands: [$0], decision: .allow) }
      var decider = FileDecider(try CompiledPolicy(rules))
      let references = patterns.map(ReferenceGlob.init)
      for _ in 0..<20 {
        let path = Self.path(&random)
        let base = Array(path[((path.lastIndex(of: 0x2F) ?? -1) + 1)...])
        // `**` in a base name goes over slashes: then the whole path may match as well.
        let candidates = patterns.contains { $0.contains("**") } ? Self.suffixes(path) : [base]
        let divided = candidates.map(ReferenceGlob.characters)
        let expected = references.firstIndex { reference in divided.contains { reference.matches($0) } } ?? -5
        let request = CommandRequest(
          canonical: path, called: path, calledNameCounts: false, arguments: [], depth: 1)
        let decision = decider.decideCommand(request)
        if expected >= 0 { matched += 1 }
        if Int(decision.rule) != expected {
          wrong.append("\(patterns) on \(path): \(decision.rule), not \(expected)")
        }
      }
      if wrong.count > 3 { break }
    }
    #expect(wrong.isEmpty)
    #expect(matched > 10_000)
  }

  /// The whole and what follows each slash.
  private static func suffixes(_ path: [UInt8]) -> [[UInt8]] {
    [path] + path.indices.filter { path[$0] == 0x2F }.map { Array(path[($0 + 1)...]) }
  }

  @Test("Every byte sequence has a decision, and the same one again")
  func isTotal() throws {
    var random = Seeded(state: 7)
    var rules = PolicyRules()
    rules.fileRules = [
      FileRule(name: "a", paths: ["**/*é?/[!x]*", "/a/**"], decision: .deny),
      FileRule(name: "b", paths: ["**"], decision: .audit),
    ]
    rules.unixSocketRules = [UnixSocketRule(name: "s", paths: ["@*"], decision: .allow)]
    rules.floor = ["/run/agentsh"]
    var decider = FileDecider(try CompiledPolicy(rules))
    for round in 0..<2000 {
      let length =
        round % 50 == 0 ? Int.random(in: 4000...9000, using: &random) : Int.random(in: 0...60, using: &random)
      let path = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      for operation in FileOperation.allCases {
        let decision = decider.decide(operation, path: path.span)
        #expect(decider.decide(operation, path: path.span) == decision)
        #expect(decider.decideAll(FileOperations(operation), path: path.span) == decision)
      }
      for operation in SocketOperation.allCases { _ = decider.decideSocket(operation, path: path.span) }
      _ = decider.isUniform(below: path.span, .all)
      let request = CommandRequest(
        canonical: path, called: path.reversed(), calledNameCounts: true, arguments: path,
        depth: UInt32(round % 3))
      #expect(decider.decideCommand(request).verdict == .deny)
    }
  }

  @Test("No set of patterns takes exponential time or memory")
  func doesNotExplode() throws {
    var rules = PolicyRules()
    let letters = Array("abcdefghijklmnopqrst")
    for index in 0..<300 {
      let (x, y, z) = (letters[index % 20], letters[index / 20 % 20], letters[(index * 7) % 20])
      let pattern = "**/*\(x)*\(y)**\(z)?????[\(x)-z]*\(index)"
      rules.fileRules.append(FileRule(name: "\(index)", paths: [pattern], decision: .deny))
    }
    var decider = FileDecider(try CompiledPolicy(rules))
    var random = Seeded(state: 3)
    let started = ContinuousClock.now
    for _ in 0..<300 {
      let path = (0..<4096).map { _ in UInt8(ascii: "a") + UInt8.random(in: 0..<26, using: &random) }
      _ = decider.decide(.write, path: path.span)
    }
    // 1.2 MB of paths that are never twice the same; some 20 ms a megabyte and 64 states.
    #expect(ContinuousClock.now - started < .seconds(20))
    #expect(decider.learntStates <= PathCacheLimits().states)
  }
}
