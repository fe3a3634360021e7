import AgentshPolicy

extension PolicyReader {
  private static let fileKeys = [
    "name", "description", "paths", "operations", "decision", "message", "timeout", "redirect_to",
    "preserve_tree",
  ]
  private static let fileVerdicts: [Verdict] = [.allow, .deny, .approve, .audit, .redirect, .softDelete]

  /// Calls that the supervisor does not see, and those that it sees by name but not through an open descriptor
  /// (fchmod(2) and the like), which is a way around a denial.
  static let unmediated: [FileOperation] = [.stat, .access, .readlink, .list, .execute]
  static let mediatedByName: [FileOperation] = [.chmod, .chown, .setattr]

  /// Why a rule that stops or records the operation does not hold; nil when it does.
  static func gap(_ operation: FileOperation) -> String? {
    if unmediated.contains(operation) { return "the call is not mediated" }
    return mediatedByName.contains(operation) ? "it is not mediated through an open descriptor" : nil
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
    rule.timeoutSeconds = timeout(fields, "file_rules")
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
      if !allowsOnly { noteUnmediated(fields.place, rule.decision) }
      checkSoftDelete(rule, fields.place)
      return
    }
    let words = FileOperation.allCases.map { ($0.word.description, $0) }
    var operations: FileOperations = []
    for (word, place) in node.texts("operations", &problems) {
      if word == "*" {
        operations = .all
        if !allowsOnly { noteUnmediated(place, rule.decision) }
        continue
      }
      let item = YAMLNode(place: place, content: .scalar(word, isPlain: true))
      guard let operation = item.word("operation", words + [("*", .open)], &problems) else { continue }
      operations.insert(FileOperations(operation))
      if !allowsOnly, let gap = Self.gap(operation) {
        let done = rule.decision == .audit ? "recorded" : "denied"
        unenforced(place, "file_rules.operations.\(operation.word)", "\(gap) and then not \(done)")
      }
    }
    rule.operations = operations.normalized
    checkSoftDelete(rule, node.place)
  }

  private mutating func noteUnmediated(_ place: Place, _ verdict: Verdict) {
    let names = Self.unmediated.filter { $0 != .execute }.map { $0.word.description }.joined(separator: ", ")
    let done = verdict == .audit ? "recorded" : "stopped"
    note(
      place,
      "all operations, except that \(names) are not \(done), nor chmod, chown and setattr of an open descriptor"
    )
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
        if !target.hasPrefix("/") { problems.add(node.place, "redirect_to must be an absolute directory") }
        let isAlias = !context.realPaths && (text == "/workspace" || text.hasPrefix("/workspace/"))
        rule.redirectTo = isAlias ? context.workspace + target.dropFirst("/workspace".count) : target
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
