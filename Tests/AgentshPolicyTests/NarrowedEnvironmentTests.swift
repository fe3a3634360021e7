import AgentshPolicy
import Testing

/// The environment of two policies together.
@Suite struct NarrowedEnvironmentTests {
  private static let pieces = [
    "PATH", "HOME", "LC_*", "LC_ALL", "*", "A_TOKEN", "GIT_*", "L*", "LD_PRELOAD", "GIT_A*",
  ]
  private static let names = [
    "PATH", "HOME", "LC_ALL", "LC_TIME", "LANG", "A_TOKEN", "B_TOKEN", "GIT_DIR", "GIT_AUTHOR", "LD_PRELOAD",
    "X", "LC_",
  ]

  private static func rules(_ random: inout Seeded) -> EnvironmentRules {
    var rules = EnvironmentRules()
    func some(_ count: ClosedRange<Int>) -> [String] {
      (0..<Int.random(in: count, using: &random)).compactMap { _ in pieces.randomElement(using: &random) }
    }
    if Int.random(in: 0..<3, using: &random) > 0 { rules.allow = some(1...4) }
    rules.deny = some(0...1).filter { $0 != "*" }
    return rules
  }

  private static func both(_ first: EnvironmentRules, _ second: EnvironmentRules) throws -> EnvironmentRules {
    var (a, b) = (PolicyRules(), PolicyRules())
    (a.environment, b.environment) = (first, second)
    return try SessionRules(a, narrowedBy: b).environment
  }

  @Test func `a variable passes where it passes both`() throws {
    var random = Seeded(state: 3)
    var passed = 0
    for _ in 0..<5000 {
      let (first, second) = (Self.rules(&random), Self.rules(&random))
      let together = try EnvironmentFilter(Self.both(first, second))
      let filters = try [EnvironmentFilter(first), EnvironmentFilter(second)]
      for name in Self.names {
        let expected = filters.allSatisfy { $0.passes(name) }
        if expected { passed += 1 }
        #expect(together.passes(name) == expected, "\(name): \(first), \(second)")
      }
    }
    #expect(passed > 5000, "the generator has become pointless: \(passed)")
  }

  @Test func `globs that overlap in part are an error and not a guess`() throws {
    var (first, second) = (EnvironmentRules(), EnvironmentRules())
    first.allow = ["GIT_*"]
    for (glob, together) in [("GIT_A*", "GIT_A*"), ("LC_*", nil), ("G*", "GIT_*"), ("GIT_?", "GIT_?")]
      as [(String, String?)]
    {
      second.allow = [glob]
      #expect(try Self.both(first, second).allow == [together].compactMap { $0 })
      #expect(try Self.both(first, second).deny == (together == nil ? ["*"] : []))
    }
    second.allow = ["*_DIR"]
    #expect(throws: CombinationError.overlappingNames(main: "GIT_*", narrowing: "*_DIR")) {
      try Self.both(first, second)
    }
  }

  @Test func `the lower maximum holds, and no variable is set that the first policy removes or sets`() throws
  {
    var (first, second) = (EnvironmentRules(), EnvironmentRules())
    (first.maxKeys, second.maxKeys, second.maxBytes) = (5, 3, 100)
    (first.inject, second.inject) = (["A": "1", "B": "1"], ["B": "1", "C": "2"])
    first.deny = ["D"]
    let together = try Self.both(first, second)
    #expect(together.maxKeys == 3 && together.maxBytes == 100)
    #expect(together.inject == ["A": "1", "B": "1", "C": "2"])
    for (name, value) in [("A", "2"), ("D", "1"), ("LD_PRELOAD", "/x.so"), ("MY_TOKEN", "t")] {
      second.inject = [name: value]
      #expect(throws: CombinationError.setVariable(name)) { try Self.both(first, second) }
    }
  }
}
