import AgentshConfig
import AgentshPolicy

/// Small tables, so that making a decider costs little.
private let limits = {
  var limits = PathCacheLimits()
  (limits.states, limits.cells, limits.members, limits.pathsBetweenFlushes) = (64, 4096, 4096, 16)
  return limits
}()

private let context = PolicyContext(
  workspace: "/code/space", home: "/home/me", projectRoot: "/code/space", gitRoot: "/code",
  variables: ["X": "x/*"])

/// Whether every place of a failure lies in the text.
private func checkPlaces(_ failure: LoadFailure, _ bytes: [UInt8]) throws(Broken) {
  try hold(!failure.diagnostics.isEmpty, "refused without a reason")
  let lines = bytes.count { $0 == 10 || $0 == 13 } + 3 * bytes.count { $0 == 0xC2 || $0 == 0xE2 } + 2
  for one in failure.diagnostics {
    try hold(!one.cause.isEmpty, "an empty cause")
    try hold(
      one.place == .whole
        || ((1...lines).contains(one.place.line) && (1...bytes.count + 2).contains(one.place.column)),
      "a place outside of the text: \(one)")
  }
}

extension Decoder {
  /// A policy in YAML. What is accepted compiles, goes over the wire unchanged and decides everything.
  static let policy = Decoder("policy") { (bytes) throws(Broken) in
    let loaded: LoadedPolicy
    do throws(LoadFailure) {
      loaded = try LoadedPolicy(yaml: bytes, file: "p", context: context, allowUnenforced: true)
    } catch {
      try checkPlaces(error, bytes)
      return
    }
    let strict = try? LoadedPolicy(yaml: bytes, file: "p", context: context, allowUnenforced: false)
    try hold((strict != nil) == loaded.unenforced.isEmpty, "unenforced: \(loaded.unenforced)")
    if let strict { try hold(strict == loaded, "strictly read it is another policy") }
    try roundTrip(PolicyRules.self, encoded(loaded.rules))
    try hold(decoded(PolicyRules.self, encoded(loaded.rules)) == loaded.rules, "another policy over the wire")
    let compiled: CompiledPolicy
    do throws(PolicyError) {
      compiled = try CompiledPolicy(loaded.rules)
    } catch {
      throw Broken("accepted, but not compiled: \(error)")
    }
    try decideEverything(compiled)
    try narrowByItself(compiled)
  }

  /// The daemon's configuration.
  static let config = Decoder("config") { (bytes) throws(Broken) in
    let config: ServerConfig
    do throws(LoadFailure) {
      config = try ServerConfig(yaml: bytes, file: "c")
    } catch {
      try checkPlaces(error, bytes)
      return
    }
    try hold(config.idleTimeout >= .zero, "an idle time below zero")
    if let retention = config.retention { try hold(retention >= .zero, "a retention below zero") }
  }
}

private let paths = ["/", "/code/space/a", "/home/me/.ssh/id", "@name", "/tmp/é/\u{7f}"]

/// Beside itself a policy decides what it decides alone, and its own rule is named.
private func narrowByItself(_ policy: CompiledPolicy) throws(Broken) {
  let rules = policy.rules.main
  // Globs of one environment may overlap in part.
  guard let pair = try? SessionRules(rules, narrowedBy: rules) else { return }
  guard let both = try? CompiledPolicy(pair) else { throw Broken("compiled alone, but not twice") }
  var one = FileDecider(policy, limits: limits)
  var two = FileDecider(both, limits: limits)
  for text in paths {
    let path = Array(text.utf8)
    for operation in FileOperation.allCases {
      let decision = one.decide(operation, path: path.span)
      try hold(decision == two.decide(operation, path: path.span), "\(operation) on \(text), beside itself")
    }
    for operation in SocketOperation.allCases {
      let decision = one.decideSocket(operation, path: path.span)
      try hold(
        decision == two.decideSocket(operation, path: path.span), "\(operation) on \(text), beside itself")
    }
    let request = CommandRequest(
      canonical: path, called: path, calledNameCounts: true, arguments: path, depth: 1)
    let decision = one.decideCommand(request)
    try hold(decision == two.decideCommand(request), "command \(text), beside itself")
  }
  for address in [IPAddress.v4(0x7f00_0001), .v6(high: 1, low: 2)] {
    let decision = policy.decideNetwork(address: address, port: 443)
    try hold(decision == both.decideNetwork(address: address, port: 443), "\(address), beside itself")
  }
}

/// Each decision names a rule that there is, and a second one is the same.
private func decideEverything(_ policy: CompiledPolicy) throws(Broken) {
  var decider = FileDecider(policy, limits: limits)
  for text in paths {
    let path = Array(text.utf8)
    for operation in FileOperation.allCases {
      let decision = decider.decide(operation, path: path.span)
      try hold(decision == decider.decide(operation, path: path.span), "\(operation) on \(text), twice")
      try hold(
        Int(decision.rule) < policy.rules.main.fileRules.count,
        "\(operation) on \(text): rule \(decision.rule)")
      _ = policy.ruleName(decision)
      _ = policy.message(decision)
    }
    for operation in SocketOperation.allCases {
      let decision = decider.decideSocket(operation, path: path.span)
      try hold(Int(decision.rule) < policy.rules.main.unixSocketRules.count, "\(operation) on \(text)")
    }
    let request = CommandRequest(
      canonical: path, called: path, calledNameCounts: true, arguments: path, depth: 1)
    let decision = decider.decideCommand(request)
    try hold(
      Int(decision.rule) < policy.rules.main.commandRules.count, "command \(text): rule \(decision.rule)")
  }
  for address in [IPAddress.v4(0x7f00_0001), .v6(high: 1, low: 2)] {
    let decision = policy.decideNetwork(address: address, port: 443)
    try hold(Int(decision.rule) < policy.rules.main.networkRules.count, "\(address): rule \(decision.rule)")
  }
}
