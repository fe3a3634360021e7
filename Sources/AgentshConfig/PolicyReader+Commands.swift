import AgentshPolicy

extension PolicyReader {
  private static let commandKeys =
    [
      "name", "description", "commands", "args_patterns", "decision", "message", "timeout", "context",
      "redirect_to",
    ] + commandEnvironmentKeys
  private static let commandEnvironmentKeys = [
    "env_allow", "env_deny", "env_max_bytes", "env_max_keys", "env_block_iteration",
  ]

  mutating func readCommandRules(_ fields: Fields) {
    for (index, rule) in list(fields, "command_rules", Self.commandKeys).enumerated() {
      readCommandRule(rule, index)
    }
  }

  private mutating func readCommandRule(_ fields: Fields, _ index: Int) {
    var rule = CommandRule(
      name: name(fields, "command_rules", index: index), commands: [],
      decision: decision(fields, "command_rules", [.allow, .deny, .approve, .audit, .redirect]))
    rule.description = text(fields, "description", &problems)
    rule.message = text(fields, "message", &problems)
    rule.timeoutSeconds = timeout(fields, "command_rules", rule.decision)
    var ruled = RulePlaces(rule: fields.place)
    (rule.commands, ruled.fields["commands"]) = commands(fields["commands"])
    let patterns = fields["args_patterns"]?.texts("args_patterns", &problems) ?? []
    rule.argumentPatterns = patterns.map(\.text)
    ruled.fields["args_patterns"] = patterns.map(\.place)
    readContext(fields, &rule)
    readCommandRedirect(fields, &rule)
    readCommandEnvironment(fields, &rule)
    rules.commandRules.append(rule)
    places[.command, default: []].append(ruled)
  }

  private mutating func commands(_ node: YAMLNode?) -> ([String], [Place]) {
    var names: [String] = []
    var places: [Place] = []
    for (text, place) in node?.texts("commands", &problems) ?? [] {
      // The program called [ is a name and no set that lacks its end.
      var forms = [text == "[" ? "\\[" : text]
      if text.contains("/") || text.range(of: "${") != nil {
        guard let pattern = pathPattern(text, place, "commands", abstractNames: false) else { continue }
        forms = withSystemLinks(pattern)
      } else if text.isEmpty {
        problems.add(place, "a command without a name", wayOut: "* is every command")
        continue
      }
      names += forms
      places += forms.map { _ in place }
    }
    // No commands means all of them: a list whose every entry was wrong must not.
    if names.isEmpty, node != nil { names = ["*"] }
    return (names, places)
  }

  private mutating func readContext(_ fields: Fields, _ rule: inout CommandRule) {
    guard let node = fields["context"] else { return }
    if case .mapping = node.content {
      guard let depths = Fields(node, "context", keys: ["min_depth", "max_depth"], &problems) else { return }
      let range = 0...1_000_000
      rule.minDepth = depths["min_depth"]?.integer("min_depth", in: range, &problems).map { UInt32($0) }
      rule.maxDepth = depths["max_depth"]?.integer("max_depth", in: range, &problems).map { UInt32($0) }
      if let low = rule.minDepth, let high = rule.maxDepth, low > high {
        problems.add(node.place, "min_depth is greater than max_depth: the rule matches nothing")
      }
      return
    }
    var direct = false
    var nested = false
    for (word, place) in node.texts("context", &problems) {
      switch word {
      case "direct": direct = true
      case "nested": nested = true
      default:
        problems.add(
          place, "context cannot be \"\(word)\"", wayOut: "direct, nested, or min_depth and max_depth")
      }
    }
    if direct, !nested { rule.maxDepth = 0 }
    if nested, !direct { rule.minDepth = 1 }
  }

  private mutating func readCommandRedirect(_ fields: Fields, _ rule: inout CommandRule) {
    guard let node = fields["redirect_to"] else {
      if rule.decision == .redirect { problems.add(fields.place, "decision: redirect needs redirect_to") }
      return
    }
    if rule.decision != .redirect {
      problems.add(fields.place(of: "redirect_to"), "redirect_to has no meaning without decision: redirect")
    }
    let keys = ["command", "args", "args_append", "environment"]
    guard let target = Fields(node, "redirect_to", keys: keys, &problems) else { return }
    guard let command = target["command"]?.text("command", &problems) else {
      problems.add(target.place, "redirect_to needs a command")
      return
    }
    var redirect = CommandRedirect(command: command)
    redirect.arguments = target["args"]?.texts("args", &problems).map(\.text) ?? []
    redirect.argumentsAppend = target["args_append"]?.texts("args_append", &problems).map(\.text) ?? []
    if let node = target["environment"] { redirect.environment = environment(node, "environment") }
    rule.redirect = redirect
  }

  /// What a rule takes from a command's environment is not taken yet; so a command that it allows does not start.
  private mutating func readCommandEnvironment(_ fields: Fields, _ rule: inout CommandRule) {
    for key in Self.commandEnvironmentKeys {
      guard let node = fields[key] else { continue }
      switch key {
      case "env_allow", "env_deny": _ = node.texts(key, &problems)
      case "env_block_iteration":
        if node.bool(key, &problems) == false { continue }
      default: _ = node.integer(key, in: 0...Int(Int32.max), &problems)
      }
      unenforced(fields.place(of: key), "command_rules.\(key)", "the rule is carried out as deny")
      rule.decision = .deny
    }
  }
}
