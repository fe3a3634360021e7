import AgentshPolicy

/// Variables, the `/workspace` alias and what a pattern over canonical paths can look like.
extension PolicyReader {
  /// The patterns of a list of paths, expanded, with the place of each. One entry may become two (system links).
  mutating func pathPatterns(
    _ node: YAMLNode?, _ what: String, abstractNames: Bool = false
  ) -> (patterns: [String], places: [Place]) {
    var patterns: [String] = []
    var places: [Place] = []
    for (text, place) in node?.texts(what, &problems) ?? [] {
      guard let pattern = pathPattern(text, place, what, abstractNames: abstractNames) else { continue }
      for form in withSystemLinks(pattern) {
        patterns.append(form)
        places.append(place)
      }
    }
    return (patterns, places)
  }

  /// One pattern, expanded; nil when it is wrong, which is reported.
  mutating func pathPattern(_ text: String, _ place: Place, _ what: String, abstractNames: Bool) -> String? {
    var source = text
    var prefix = ""
    if !context.realPaths, text.isWithin("/workspace") {
      prefix = Self.globEscaped(context.workspace)
      source = text.behind("/workspace")
      if prefix == "/", !source.isEmpty { prefix = "" }
    }
    guard let rest = expand(source, place, escape: true) else { return nil }
    let pattern = prefix + rest
    if let (cause, wayOut) = Self.neverMatches(pattern, abstractNames: abstractNames) {
      problems.add(place, "\"\(text)\" in \(what) matches nothing: \(cause)", wayOut: wayOut)
      return nil
    }
    return pattern
  }

  /// Puts values in place of `${NAME}` and `${NAME:-fallback}`; nil when one has no value, which is reported.
  /// - Parameter escape: values are data, not patterns: their glob characters lose their meaning.
  mutating func expand(_ text: String, _ place: Place, escape: Bool) -> String? {
    var result = ""
    var rest = text[...]
    while let start = rest.range(of: "${") {
      result += rest[..<start.lowerBound]
      rest = rest[start.upperBound...]
      guard let end = rest.firstIndex(of: "}") else {
        problems.add(place, "\"\(text)\": ${ without }")
        return nil
      }
      guard let value = value(ofReference: String(rest[..<end]), in: text, place, escape: escape) else {
        return nil
      }
      rest = rest[rest.index(after: end)...]
      // A root directory before a slash would make two of it.
      result += value == "/" && rest.begins(with: "/") ? "" : value
    }
    return result + rest
  }

  private mutating func value(
    ofReference reference: String, in text: String, _ place: Place, escape: Bool
  ) -> String? {
    let parts = reference.range(of: ":-").map { (reference[..<$0.lowerBound], reference[$0.upperBound...]) }
    let name = String(parts?.0 ?? reference[...])
    guard isVariableName(name), parts?.1.range(of: "${") == nil else {
      problems.add(
        place, "\"\(text)\": ${\(reference)} is no variable", wayOut: "${NAME} or ${NAME:-fallback}")
      return nil
    }
    if let value = context.value(of: name), !value.isEmpty { return escape ? Self.globEscaped(value) : value }
    if let fallback = parts?.1 { return String(fallback) }
    problems.add(
      place, "\"\(text)\": the variable \(name) has no value",
      wayOut: "give it a fallback, ${\(name):-…}, or a value under variables in the server's configuration")
    return nil
  }

  /// The text with a backslash before every character that means something in a glob.
  static func globEscaped(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if "*?[]{}\\,".unicodeScalars.contains(scalar) { result.append("\\") }
      result.append(scalar)
    }
    return String(result)
  }

  /// The pattern, and what it is below a directory of the system that is a link: rules see canonical names only.
  func withSystemLinks(_ pattern: String) -> [String] {
    for (link, target) in context.systemLinks where pattern.isWithin(link) {
      return [pattern, Self.globEscaped(target) + pattern.behind(link)]
    }
    return [pattern]
  }

  /// Why no canonical path can match, where that shows at first sight.
  static func neverMatches(_ pattern: String, abstractNames: Bool) -> (cause: String, wayOut: String)? {
    if pattern.isEmpty { return ("it is empty", "") }
    if abstractNames, pattern.hasPrefix("@") { return nil }
    if pattern.hasPrefix("~") { return ("~ has no meaning here", "write ${HOME}") }
    if pattern.hasPrefix("*"), !pattern.hasPrefix("**") {
      return (
        "paths are absolute and * stays within one component", "write **/\(pattern), or ** for everything"
      )
    }
    guard let first = pattern.unicodeScalars.first, "/*{[?\\".unicodeScalars.contains(first) else {
      return ("paths are absolute", "begin with /, **/, ${PROJECT_ROOT}/ or ${HOME}/")
    }
    if pattern.count > 1, pattern.hasSuffix("/") {
      return ("no path ends in a slash", "write \(pattern)** for what is below it")
    }
    let components = pattern.pathParts.dropFirst()
    if components.contains(".") || components.contains("..") {
      return ("names are canonical, without . and ..", "")
    }
    if pattern.count > 1, components.contains("") { return ("names are canonical, without //", "") }
    return nil
  }
}

extension StringProtocol {
  /// The first place of `needle`, compared by scalars.
  func range(of needle: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].unicodeScalars.starts(with: needle.unicodeScalars) {
        return start..<(unicodeScalars.index(start, offsetBy: needle.unicodeScalars.count))
      }
      start = unicodeScalars.index(after: start)
    }
    return nil
  }
}
