import AgentshPolicy

extension PolicyReader {
  private static let networkKeys = [
    "name", "description", "domains", "ports", "cidrs", "decision", "message", "timeout",
  ]
  private static let networkVerdicts: [Verdict] = [.allow, .deny, .approve, .audit]

  mutating func readNetworkRules(_ fields: Fields) {
    for (index, rule) in list(fields, "network_rules", Self.networkKeys).enumerated() {
      readNetworkRule(rule, index)
    }
  }

  private mutating func readNetworkRule(_ fields: Fields, _ index: Int) {
    var rule = NetworkRule(
      name: name(fields, "network_rules", index: index),
      decision: decision(fields, "network_rules", Self.networkVerdicts))
    rule.description = text(fields, "description", &problems)
    rule.message = text(fields, "message", &problems)
    rule.timeoutSeconds = timeout(fields, "network_rules", rule.decision)
    var ruled = RulePlaces(rule: fields.place)
    (rule.domains, ruled.fields["domains"]) = domains(fields["domains"], rule.decision)
    rule.ports = ports(fields["ports"])
    rule.ranges = ranges(fields["cidrs"])
    // An empty kind is one that is not asked about, so a kind that is given must not come out empty.
    let given = ["domains", "ports", "cidrs"].filter { fields[$0] != nil }
    for key in given where isEmptyList(fields[key]) {
      problems.add(
        fields.place(of: key), "\(key) is empty: the rule matches nothing", wayOut: "remove the key")
    }
    if given.isEmpty {
      problems.add(
        fields.place, "this rule of network_rules has neither domains nor ports nor cidrs",
        wayOut: "domains: [\"*\"] is every host")
    }
    rules.networkRules.append(rule)
    places[.network, default: []].append(ruled)
  }

  /// Names of hosts. Those that an address alone cannot tell are not enforced: an allow never matches them, and any
  /// other decision takes all hosts for them.
  private mutating func domains(_ node: YAMLNode?, _ verdict: Verdict) -> ([String], [Place]) {
    var names: [String] = []
    var places: [Place] = []
    var takesAll = false
    for (text, place) in node?.texts("domains", &problems) ?? [] {
      guard let expanded = expand(text, place, escape: false) else { continue }
      let name = expanded.lowercased()
      guard !name.isEmpty else {
        problems.add(place, "a domain without a name", wayOut: "* is every host")
        continue
      }
      names.append(name)
      places.append(place)
      if name == "*" || name == "localhost" || IPAddress(parsing: name) != nil { continue }
      if verdict == .allow {
        unenforced(
          place, "network_rules.domains", "connections are decided by address, so the name never matches")
      } else {
        unenforced(
          place, "network_rules.domains", "connections are decided by address; the rule takes every host")
        takesAll = true
      }
    }
    return takesAll ? (["*"], places.prefix(1).map { $0 }) : (names, places)
  }

  private mutating func ports(_ node: YAMLNode?) -> [UInt16] {
    guard let node else { return [] }
    guard case .sequence(let items) = node.content else {
      problems.add(
        node.place, "ports must be a list, not \(node.kind)", wayOut: "write [ … ] or lines with -")
      return []
    }
    return items.compactMap { item in item.integer("a port", in: 1...65535, &problems).map { UInt16($0) } }
  }

  private mutating func ranges(_ node: YAMLNode?) -> [AddressRange] {
    var result: [AddressRange] = []
    for (text, place) in node?.texts("cidrs", &problems) ?? [] {
      if let range = AddressRange(parsing: text) {
        result.append(range)
      } else {
        problems.add(
          place, "\"\(text)\" is no address range", wayOut: "such as 10.0.0.0/8, fd00::/8, 192.0.2.1/32")
      }
    }
    return result
  }

  private static let socketKeys = [
    "name", "description", "paths", "operations", "decision", "message", "timeout",
  ]

  mutating func readUnixSocketRules(_ fields: Fields) {
    for (index, rule) in list(fields, "unix_socket_rules", Self.socketKeys).enumerated() {
      readUnixSocketRule(rule, index)
    }
  }

  private mutating func readUnixSocketRule(_ fields: Fields, _ index: Int) {
    let (paths, pathPlaces) = pathPatterns(fields["paths"], "paths", abstractNames: true)
    if fields["paths"] == nil || isEmptyList(fields["paths"]) {
      problems.add(
        fields.place(of: "paths"), "this rule of unix_socket_rules has no paths", wayOut: "** is every socket"
      )
    }
    var rule = UnixSocketRule(
      name: name(fields, "unix_socket_rules", index: index), paths: paths,
      decision: decision(fields, "unix_socket_rules", Self.networkVerdicts))
    rule.description = text(fields, "description", &problems)
    rule.message = text(fields, "message", &problems)
    rule.timeoutSeconds = timeout(fields, "unix_socket_rules", rule.decision)
    if let node = fields["operations"], !isEmptyList(node) { rule.operations = socketOperations(node) }
    if rule.operations == SocketOperations(.listen) {
      unenforced(
        fields.place(of: "operations"), "unix_socket_rules.operations.listen", "only bind is mediated")
    }
    rules.unixSocketRules.append(rule)
    places[.unixSocket, default: []].append(RulePlaces(rule: fields.place, fields: ["paths": pathPlaces]))
  }

  private mutating func socketOperations(_ node: YAMLNode) -> SocketOperations {
    var operations: SocketOperations = []
    let words: [(String, SocketOperations)] = [
      ("connect", .init(.connect)), ("bind", .init(.bind)), ("listen", .init(.listen)),
      ("sendto", .init(.sendto)),
      ("*", .all),
    ]
    for (word, place) in node.texts("operations", &problems) {
      let item = YAMLNode(place: place, content: .scalar(word, isPlain: true))
      operations.formUnion(item.word("operation", words, &problems) ?? [])
    }
    return operations
  }
}
