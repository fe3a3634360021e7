/// A command that is about to start.
package struct CommandRequest: Sendable {
  /// Canonical absolute path of the file that would run.
  package var canonical: [UInt8]
  /// The path as it was called, absolute, before links are followed; the same as `canonical` where there are none.
  package var called: [UInt8]
  /// Whether the called name counts: no link on its way can be changed by the tree.
  package var calledNameCounts: Bool
  /// argv without argv[0], joined by one space. May be empty where `commandsNeedArguments` is false.
  package var arguments: [UInt8]
  /// 0: started by agentsh; 1 and more: by the tree; `UInt32.max`: not known, which counts as inside the tree.
  package var depth: UInt32

  package init(
    canonical: [UInt8], called: [UInt8], calledNameCounts: Bool, arguments: [UInt8], depth: UInt32
  ) {
    self.canonical = canonical
    self.called = called
    self.calledNameCounts = calledNameCounts
    self.arguments = arguments
    self.depth = depth
  }
}

/// The command rules, compiled: all names in one automaton. A name without `/` is a base name in any directory,
/// whatever the case of its ASCII letters.
struct CommandList: Sendable {
  let program: GlobProgram
  let rules: [CommandRule]
  let argumentPatterns: [[RegularExpression]]
  var needArguments: Bool { argumentPatterns.contains { !$0.isEmpty } }

  init(_ rules: [CommandRule]) throws(PolicyError) {
    var patterns: [(rule: Int, pattern: GlobPattern)] = []
    var expressions: [[RegularExpression]] = []
    for (index, rule) in rules.enumerated() {
      for (item, name) in (rule.commands.isEmpty ? ["**"] : rule.commands).enumerated() {
        do throws(PatternError) {
          patterns.append((index, try Self.pattern(name)))
        } catch {
          throw Self.refused(index, rule, "commands", item, error)
        }
      }
      var own: [RegularExpression] = []
      for (item, text) in rule.argumentPatterns.enumerated() {
        do throws(PatternError) {
          own.append(try RegularExpression(text))
        } catch {
          throw Self.refused(index, rule, "args_patterns", item, error)
        }
      }
      expressions.append(own)
    }
    guard let program = GlobProgram(patterns) else {
      throw PolicyError(
        list: .command, ruleIndex: 0, rule: "", field: "commands", item: 0, offset: nil,
        cause: "the list is too large: more than \(GlobProgram.maximumStates) states")
    }
    self.program = program
    self.rules = rules
    argumentPatterns = expressions
  }

  private static func pattern(_ name: String) throws(PatternError) -> GlobPattern {
    if name.utf8.contains(UInt8(ascii: "/")) { return try GlobPattern(name) }
    return try GlobPattern(name, ignoringCase: true).afterAnyDirectory()
  }

  private static func refused(
    _ index: Int, _ rule: CommandRule, _ field: String, _ item: Int, _ error: PatternError
  ) -> PolicyError {
    PolicyError(
      list: .command, ruleIndex: index, rule: rule.name, field: field, item: item, offset: error.offset,
      cause: error.cause)
  }

  /// Whether rule `index` holds at `depth`.
  func holds(_ index: Int, depth: UInt32) -> Bool {
    depth >= rules[index].minDepth ?? 0 && depth <= rules[index].maxDepth ?? .max
  }

  /// The verdict that every command gets, whatever its name, arguments and depth; nil where it depends.
  var uniformDecision: Decision? {
    guard let first = rules.first, first.argumentPatterns.isEmpty, first.minDepth ?? 0 == 0,
      first.maxDepth == nil,
      first.commands.isEmpty || first.commands.contains(where: { $0 == "*" || $0 == "**" || $0 == "/**" })
    else { return nil }
    return Decision(verdict: first.decision, list: .command, rule: 0)
  }
}
