/// Why an environment is refused or a filter cannot be made.
package enum EnvironmentError: Error, Equatable, Sendable {
  case tooManyKeys(count: Int, maximum: Int)
  case tooManyBytes(count: Int, maximum: Int)
  /// `field` is `allow` or `deny`, `item` the index in it.
  case badPattern(field: String, item: Int, PatternError)
}

/// What of an environment reaches the agent (`env_policy`): `deny` first; then, with an `allow` list, only what it
/// names; then never what is in `SecretVariables`, unless `allow` has its exact name. environ(7)
package struct EnvironmentFilter: Sendable {
  private let allow: [Glob]
  private let exactlyAllowed: Set<String>
  private let deny: [Glob]
  private let maxBytes: Int?
  private let maxKeys: Int?
  private let hasAllowList: Bool

  /// `allow` and `deny` are names and globs of names, case-sensitive. `maxBytes` counts `NAME=VALUE` and its NUL.
  package init(allow: [String], deny: [String], maxBytes: UInt32?, maxKeys: UInt32?) throws(EnvironmentError)
  {
    self.allow = try Self.compile(allow, field: "allow")
    self.deny = try Self.compile(deny, field: "deny")
    exactlyAllowed = Set(allow.filter(EnvironmentRules.isExact))
    hasAllowList = !allow.isEmpty
    self.maxBytes = maxBytes.map(Int.init)
    self.maxKeys = maxKeys.map(Int.init)
  }

  package init(_ rules: EnvironmentRules) throws(EnvironmentError) {
    try self.init(allow: rules.allow, deny: rules.deny, maxBytes: rules.maxBytes, maxKeys: rules.maxKeys)
  }

  /// Keeps what may pass of `NAME=value` entries, in their order. Throws when that is more than the maximum: then the command
  /// does not start.
  ///
  /// Of a name that comes twice the first counts, as getenv(3) has it. A name that is not UTF-8 cannot be judged, and does not
  /// pass.
  package func filter(_ entries: [[UInt8]]) throws(EnvironmentError) -> [[UInt8]] {
    var kept: [[UInt8]] = []
    var seen: Set<String> = []
    var bytes = 0
    for entry in entries {
      guard let equals = entry.firstIndex(of: UInt8(ascii: "=")), equals > 0,
        let name = try? String(copying: UTF8Span(validating: entry.span.extracting(..<equals))),
        seen.insert(name).inserted, passes(name)
      else { continue }
      kept.append(entry)
      bytes += entry.count + 1
    }
    if let maxKeys, kept.count > maxKeys { throw .tooManyKeys(count: kept.count, maximum: maxKeys) }
    if let maxBytes, bytes > maxBytes { throw .tooManyBytes(count: bytes, maximum: maxBytes) }
    return kept
  }

  /// Whether a variable of this name reaches the agent.
  package func passes(_ name: String) -> Bool {
    let bytes = Array(name.utf8)
    if deny.contains(where: { $0.matches(bytes.span) }) { return false }
    if exactlyAllowed.contains(name) { return true }
    if SecretVariables.contains(name) { return false }
    return !hasAllowList || allow.contains { $0.matches(bytes.span) }
  }

  private static func compile(_ patterns: [String], field: String) throws(EnvironmentError) -> [Glob] {
    var result: [Glob] = []
    for (item, pattern) in patterns.enumerated() {
      do throws(PatternError) {
        result.append(try Glob(starsDoubled(pattern)))
      } catch {
        throw .badPattern(field: field, item: item, error)
      }
    }
    return result
  }

  /// A name may contain `/`, which a single star would not pass over.
  private static func starsDoubled(_ pattern: String) -> String {
    var result = ""
    var isEscaped = false
    for scalar in pattern.unicodeScalars {
      result.unicodeScalars.append(scalar)
      if scalar == "*", !isEscaped { result.append("*") }
      isEscaped = scalar == "\\" && !isEscaped
    }
    return result
  }
}
