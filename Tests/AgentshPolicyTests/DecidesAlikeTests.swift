import AgentshPolicy
import Testing

@Suite struct DecidesAlikeTests {
  private func alike(_ a: String, _ b: String) throws -> Bool {
    var rules = PolicyRules()
    rules.fileRules = [
      FileRule(name: "env", paths: ["**/.env"], operations: [.init(.read)], decision: .deny),
      FileRule(name: "hooks", paths: ["/w/**/.git/hooks/**"], decision: .deny),
      FileRule(name: "w", paths: ["/w{,/**}"], decision: .allow),
    ]
    var decider = FileDecider(try CompiledPolicy(rules))
    return decider.decidesAlike(below: Array(a.utf8).span, Array(b.utf8).span)
  }

  @Test func `directories that every rule sees alike may be renamed although a rule looks into them`() throws
  {
    #expect(try alike("/w/targetX1", "/w/target"))
    #expect(try alike("/w/a/node_modules/dep", "/w/a/node_modules/.dep-1"))
    #expect(try alike("/w/a", "/w/b/c/d"))
    #expect(try alike("/w/a/", "/w/b"))
  }

  @Test func `directories that a rule tells apart may not`() throws {
    #expect(try !alike("/w/a", "/w/.git"))
    #expect(try !alike("/w/a", "/w/.git/hooks"))
    #expect(try !alike("/w/.git/hooks", "/w/x"))
    #expect(try !alike("/w/a", "/x/a"))
    #expect(try !alike("", "/w"))
  }
}
