import AgentshPolicy

/// Turns the YAML of a policy into rules, and notes what is wrong, what is not enforced, and where each pattern stood.
struct PolicyReader {
  let context: PolicyContext
  var rules = PolicyRules()
  var problems = Problems()
  var unenforced: [Unenforced] = []
  var notes: [Diagnostic] = []
  /// For each list, for each of its rules, for each field with patterns: the places of the patterns.
  var places: [RuleList: [RulePlaces]] = [:]

  struct RulePlaces {
    let rule: Place
    var fields: [String: [Place]] = [:]
  }

  init(context: PolicyContext) { self.context = context }

  mutating func note(_ place: Place, _ text: String) { notes.append(Diagnostic(place, text)) }

  mutating func unenforced(_ place: Place, _ key: String, _ why: String) {
    unenforced.append(Unenforced(place, key: key, why: why))
  }

  mutating func readPolicy(_ root: YAMLNode) {
    guard case .mapping(let entries) = root.content else {
      problems.add(root.place, "a policy must be a mapping, not \(root.kind)")
      return
    }
    for entry in entries where entry.key == "services" {
      problems.add(entry.place, "services is the old name", wayOut: "it is called http_services now")
    }
    let keys = Self.topLevelKeys + ["services"]
    guard let fields = Fields(root, "the policy", keys: keys, &problems) else { return }
    readHead(fields)
    readFileRules(fields)
    readCommandRules(fields)
    readNetworkRules(fields)
    readUnixSocketRules(fields)
    readSignalRules(fields)
    readRedirects(fields)
    readSettings(fields)
    readPermit(fields)
    for (key, why) in Self.laterSections {
      if fields[key] != nil { unenforced(fields.place(of: key), key, why) }
    }
    if fields["registry_rules"] != nil {
      note(fields.place(of: "registry_rules"), "registry_rules are for Windows and do nothing on this system")
    }
  }

  private mutating func readHead(_ fields: Fields) {
    if let node = fields["version"] {
      rules.version = node.integer("version", in: 1...Int(Int32.max), &problems) ?? 1
    } else {
      problems.add(fields.place(of: "version"), "a policy needs a version", wayOut: "version: 1")
    }
    if let node = fields["name"] {
      rules.name = node.text("name", &problems) ?? ""
    } else {
      problems.add(fields.place(of: "name"), "a policy needs a name", wayOut: "name: my-policy")
    }
    rules.description = fields["description"]?.text("description", &problems) ?? ""
    if let node = fields["metadata"] { _ = node.textMap("metadata", &problems) }
    if let node = fields["file_default"] {
      let words = [("allow", false), ("deny", true)]
      rules.denyReadsByDefault = node.word("file_default", words, &problems) ?? true
    }
  }

  /// The rules of a list, each as its fields. What is not a list is reported.
  mutating func list(_ fields: Fields, _ key: String, _ keys: [String]) -> [Fields] {
    guard let node = fields[key] else { return [] }
    guard case .sequence(let items) = node.content else {
      problems.add(
        node.place, "\(key) must be a list of rules, not \(node.kind)", wayOut: "write lines with -")
      return []
    }
    return items.compactMap { Fields($0, "a rule of \(key)", keys: keys, &problems) }
  }

  /// A rule's name; one without gets its place in the list, so that events can name it.
  mutating func name(_ fields: Fields, _ list: String, index: Int) -> String {
    if let name = fields["name"]?.text("name", &problems), !name.isEmpty { return name }
    let name = "\(list)[\(index)]"
    note(fields.place, "this rule has no name; events will call it \(name)")
    return name
  }

  func text(_ fields: Fields, _ key: String, _ problems: inout Problems) -> String {
    fields[key]?.text(key, &problems) ?? ""
  }

  /// A rule's decision; deny where it is missing or unknown, which is reported.
  mutating func decision(_ fields: Fields, _ list: String, _ verdicts: [Verdict]) -> Verdict {
    guard let node = fields["decision"] else {
      let words = verdicts.map { $0.word.description }.joined(separator: ", ")
      problems.add(fields.place, "this rule of \(list) has no decision", wayOut: "one of: \(words)")
      return .deny
    }
    let words = verdicts.map { ($0.word.description, $0) }
    guard let verdict = node.word("decision", words, &problems) else { return .deny }
    switch verdict {
    case .redirect, .absorb:
      unenforced(node.place, "\(list).decision.\(verdict.word)", "carried out as deny")
    case .allow, .deny, .audit, .approve, .softDelete: break
    }
    return verdict
  }

  /// How long a call waits for approval; a rule that never makes one wait has no use for it.
  mutating func timeout(_ fields: Fields, _ list: String, _ verdict: Verdict) -> UInt32? {
    guard let node = fields["timeout"], let time = node.duration("timeout", &problems) else { return nil }
    guard verdict == .approve, list != "signal_rules" else {
      let why = list == "signal_rules" ? "signals are not held" : "nothing waits but what is to be approved"
      unenforced(fields.place(of: "timeout"), "\(list).timeout", why)
      return nil
    }
    return node.waiting(time, "timeout", &problems)?.secondsRoundedUp
  }

  private static let topLevelKeys =
    [
      "version", "name", "description", "metadata", "file_rules", "file_default", "permit", "network_rules",
      "command_rules",
      "unix_socket_rules", "registry_rules", "signal_rules", "dns_redirects", "connect_redirects",
      "resource_limits", "env_policy", "env_inject", "audit", "transparent_commands",
    ] + laterSections.map(\.0)

  /// Sections that are known and wait for their part of the program.
  private static let laterSections = [
    ("process_contexts", "rules by ancestor are not built; the other rules hold for every process"),
    ("process_identities", "rules by ancestor are not built"),
    ("mcp_rules", "tool calls of MCP servers are not looked at"),
    ("package_rules", "packages are not looked at before they are installed"),
    ("providers", "there is no proxy for model providers"),
    ("http_services", "there is no HTTP proxy"),
    ("db_services", "there is no database proxy"),
    ("database_rules", "there is no database proxy"),
    ("database_connection_rules", "there is no database proxy"),
    ("policies", "policies cannot be put together yet"),
  ]
}
