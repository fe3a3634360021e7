import AgentshPolicy

extension PolicyReader {
  private static let fileKeys = [
    "name", "description", "paths", "operations", "decision", "message", "timeout", "redirect_to",
    "preserve_tree",
  ]
  private static let fileVerdicts: [Verdict] = [.allow, .deny, .approve, .audit, .redirect, .softDelete]

  /// Looking is asked about where a rule stops it, not for the record alone; starting a program is the command rules'.
  static let looks: [FileOperation] = [.stat, .access, .readlink, .list]

  /// Why a rule about the operation does not hold; nil when it does.
  static func gap(_ operation: FileOperation, _ verdict: Verdict) -> String? {
    if operation == .execute { return "command_rules decide on it" }
    if verdict == .audit, looks.contains(operation) {
      return "looking is not asked about for the record alone"
    }
    return nil
  }

  mutating func readFileRules(_ fields: Fields) {
    for (index, rule) in list(fields, "file_rules", Self.fileKeys).enumerated() { readFileRule(rule, index) }
  }

  private mutating func readFileRule(_ fields: Fields, _ index: Int) {
    let (paths, pathPlaces) = pathPatterns(fields["paths"], "paths")
    if fields["paths"] == nil || isEmptyList(fields["paths"]) {
      problems.add(
        fields.place(of: "paths"), "this rule of file_rules has no paths", wayOut: "** is every path")
    }
    var rule = FileRule(
      name: name(fields, "file_rules", index: index), paths: paths,
      decision: decision(fields, "file_rules", Self.fileVerdicts))
    rule.description = text(fields, "description", &problems)
    rule.message = text(fields, "message", &problems)
    rule.timeoutSeconds = timeout(fields, "file_rules", rule.decision)
    readOperations(fields, &rule)
    readFileRedirect(fields, &rule)
    rules.fileRules.append(rule)
    places[.file, default: []].append(RulePlaces(rule: fields.place, fields: ["paths": pathPlaces]))
  }

  func isEmptyList(_ node: YAMLNode?) -> Bool {
    if case .sequence(let items)? = node?.content { items.isEmpty } else { false }
  }

  private mutating func readOperations(_ fields: Fields, _ rule: inout FileRule) {
    let allowsOnly = rule.decision == .allow
    guard let node = fields["operations"], !isEmptyList(node) else {
      if !allowsOnly { noteGaps(fields.place, rule.decision) }
      checkSoftDelete(rule, fields.place)
      return
    }
    let words = FileOperation.allCases.map { ($0.word.description, $0) }
    var operations: FileOperations = []
    for (word, place) in node.texts("operations", &problems) {
      if word == "*" {
        operations = .all
        if !allowsOnly { noteGaps(place, rule.decision) }
        continue
      }
      let item = YAMLNode(place: place, content: .scalar(word, isPlain: true))
      guard let operation = item.word("operation", words + [("*", .open)], &problems) else { continue }
      operations.insert(FileOperations(operation))
      if !allowsOnly, let gap = Self.gap(operation, rule.decision) {
        unenforced(place, "file_rules.operations.\(operation.word)", gap)
      }
    }
    rule.operations = operations.normalized
    checkSoftDelete(rule, node.place)
  }

  /// What a rule about all operations leaves out, or costs.
  private mutating func noteGaps(_ place: Place, _ verdict: Verdict) {
    let names = Self.looks.map { $0.word.description }.joined(separator: ", ")
    let text =
      switch verdict {
      case .audit: "all operations, except that \(names) alone are not recorded"
      case .approve:
        "\(names) are among all operations: each of these calls waits until it is approved (name those that are to wait)"
      default: "\(names) are among all operations: each of these calls is asked about then, which costs time"
      }
    note(place, text)
  }

  private mutating func checkSoftDelete(_ rule: FileRule, _ place: Place) {
    let deletions: FileOperations = [FileOperations(.delete), FileOperations(.rmdir)]
    if rule.decision == .softDelete, !rule.operations.isSubset(of: deletions) {
      problems.add(place, "soft_delete is for the operations delete and rmdir only")
    }
  }

  private mutating func readFileRedirect(_ fields: Fields, _ rule: inout FileRule) {
    if let node = fields["redirect_to"] {
      if rule.decision != .redirect {
        problems.add(fields.place(of: "redirect_to"), "redirect_to has no meaning without decision: redirect")
      } else if let text = node.text("redirect_to", &problems),
        let target = expand(text, node.place, escape: false)
      {
        if !target.begins(with: "/") { problems.add(node.place, "redirect_to must be an absolute directory") }
        let isAlias = !context.realPaths && text.isWithin("/workspace")
        rule.redirectTo = isAlias ? context.workspace + target.behind("/workspace") : target
      }
    } else if rule.decision == .redirect {
      problems.add(fields.place, "decision: redirect needs redirect_to, a directory")
    }
    if let node = fields["preserve_tree"] {
      rule.preserveTree = node.bool("preserve_tree", &problems) ?? false
      if rule.decision != .redirect {
        problems.add(
          fields.place(of: "preserve_tree"), "preserve_tree has no meaning without decision: redirect")
      }
    }
  }
}
