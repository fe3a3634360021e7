extension EnvironmentRules {
  /// Rules by which a variable passes exactly where it passes these and `other`, within the lower maxima.
  ///
  /// Both set their variables (`inject`). `other` may set none that these remove or set differently.
  func narrowed(by other: EnvironmentRules) throws(CombinationError) -> EnvironmentRules {
    let filters = [try self.filter(), try other.filter()]
    var result = EnvironmentRules()
    result.maxBytes = Self.lower(maxBytes, other.maxBytes)
    result.maxKeys = Self.lower(maxKeys, other.maxKeys)
    result.deny = deny + other.deny
    // A name that is written out may be a secret's. It passes both or is denied; globs then decide about the others.
    for name in (allow + other.allow).filter(Self.isExact) {
      if filters.allSatisfy({ $0.passes(name) }) {
        result.allow.append(name)
      } else {
        result.deny.append(name)
      }
    }
    result.allow += try globs(with: other)
    // No list would let everything through.
    if !(allow.isEmpty && other.allow.isEmpty), result.allow.isEmpty { result.deny.append("*") }
    result.inject = inject
    for (name, value) in other.inject where inject[name] != value {
      guard inject[name] == nil, filters[0].passes(name) else { throw .setVariable(name) }
      result.inject[name] = value
    }
    return result
  }

  private func filter() throws(CombinationError) -> EnvironmentFilter {
    do throws(EnvironmentError) { return try EnvironmentFilter(self) } catch { throw .environment(error) }
  }

  private static func lower(_ a: UInt32?, _ b: UInt32?) -> UInt32? {
    guard let a, let b else { return a ?? b }
    return min(a, b)
  }

  static func isExact(_ name: String) -> Bool { !name.utf8.contains { "*?[{\\".utf8.contains($0) } }

  /// Globs for what the globs of both allow, where both have a list; else those of the one that has.
  private func globs(with other: EnvironmentRules) throws(CombinationError) -> [String] {
    let own = allow.filter { !Self.isExact($0) }
    let more = other.allow.filter { !Self.isExact($0) }
    if allow.isEmpty { return more }
    if other.allow.isEmpty { return own }
    var result: [String] = []
    for first in own {
      for second in more {
        if let both = try Self.intersection(first, second) { result.append(both) }
      }
    }
    return result
  }

  /// The glob for what two have in common; nil for nothing.
  private static func intersection(_ a: String, _ b: String) throws(CombinationError) -> String? {
    if a.utf8.elementsEqual(b.utf8) { return a }
    let (start, other) = (a.utf8.prefix(while: isLiteral), b.utf8.prefix(while: isLiteral))
    if endsInStar(a), other.starts(with: start) { return b }
    if endsInStar(b), start.starts(with: other) { return a }
    if !other.starts(with: start), !start.starts(with: other) { return nil }
    throw .overlappingNames(main: a, narrowing: b)
  }

  private static func isLiteral(_ byte: UInt8) -> Bool { !"*?[{\\".utf8.contains(byte) }

  /// Letters and then nothing but a star.
  private static func endsInStar(_ glob: String) -> Bool {
    glob.utf8.drop(while: isLiteral).elementsEqual("*".utf8)
  }
}
