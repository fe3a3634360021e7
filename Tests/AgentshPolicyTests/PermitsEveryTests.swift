import Testing

import AgentshPolicy

/// `CompiledPolicy.permitsEvery`: the kernel opens what is read where it says so, and nothing is decided on the path.
@Suite struct PermitsEveryTests {
  private typealias Rule = (path: String, operations: FileOperations, decision: Verdict)

  private static func rules(_ rules: [Rule], denyReads: Bool = false) -> PolicyRules {
    var policy = PolicyRules()
    policy.denyReadsByDefault = denyReads
    policy.floor = ["/home/me/.agentsh"]
    policy.fileRules = rules.enumerated().map {
      FileRule(
        name: "\($0.offset)", paths: [$0.element.path], operations: $0.element.operations,
        decision: $0.element.decision)
    }
    return policy
  }

  private static let all: Rule = ("/**", .all, .allow)
  private static let root: Rule = ("/", .all, .allow)

  @Test func `every read is permitted`() throws {
    let policies: [[Rule]] = [
      [], [Self.all], [Self.root, Self.all], [("/{,**}", .all, .audit)],
      [("/etc/**", FileOperations(.write), .deny), Self.root, Self.all],
      [("/etc/**", FileOperations(.read), .allow), Self.root, Self.all],
    ]
    for rules in policies { #expect(try CompiledPolicy(Self.rules(rules)).permitsEvery(.open), "\(rules)") }
    #expect(try CompiledPolicy(Self.rules([Self.root, Self.all], denyReads: true)).permitsEvery(.open))
  }

  @Test func `the trash is nothing else where nothing is kept from reading`() throws {
    var rules = Self.rules([("/etc/**", FileOperations(.delete), .softDelete), Self.root, Self.all])
    rules.trash = ["/home/me/trash"]
    #expect(try CompiledPolicy(rules).permitsEvery(.open))
    rules.fileRules[0] = FileRule(
      name: "0", paths: ["/etc/shadow"], operations: FileOperations(.read), decision: .approve)
    #expect(try !CompiledPolicy(rules).permitsEvery(.open))
  }

  @Test(arguments: [Verdict.deny, .approve, .audit])
  func `one read that is answered otherwise`(decision: Verdict) throws {
    for operations in [FileOperations(.read), FileOperations(.open), .all] {
      for path in ["/etc/shadow", "/home/*/.ssh/**", "**/.env", "/**/*.pem"] {
        let rules = Self.rules([(path, operations, decision), Self.root, Self.all])
        #expect(try !CompiledPolicy(rules).permitsEvery(.open), "\(path)")
        let wide = Self.rules([Self.root, Self.all])
        #expect(try !CompiledPolicy(SessionRules(wide, narrowedBy: rules)).permitsEvery(.open), "\(path)")
      }
    }
  }

  @Test func `a default that denies`() throws {
    let policies: [[Rule]] = [
      [], [Self.all], [("/usr/**", .all, .allow)], [("/*", .all, .allow), Self.root],
    ]
    for rules in policies {
      #expect(try !CompiledPolicy(Self.rules(rules, denyReads: true)).permitsEvery(.open), "\(rules)")
    }
  }
}
