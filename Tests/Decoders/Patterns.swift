import AgentshPolicy

/// Pattern and text: what comes before the first NUL, and what comes after it.
private func divided(_ bytes: [UInt8]) -> (pattern: String, text: [UInt8])? {
  let end = bytes.firstIndex(of: 0) ?? bytes.count
  guard let pattern = String(validating: bytes[..<end], as: UTF8.self) else { return nil }
  return (pattern, Array(bytes.dropFirst(end + 1)))
}

private func count(_ scalar: Unicode.Scalar, _ text: String) -> Int {
  text.unicodeScalars.count { $0 == scalar }
}

extension Decoder {
  /// A glob and a path: matched as the plain matcher matches, and in a list of rules the same as alone.
  static let glob = Decoder("glob") { (bytes) throws(Broken) in
    guard let (pattern, text) = divided(bytes), let glob = try? Glob(pattern) else { return }
    let matches = glob.matches(text.span)
    _ = try? Glob(pattern, ignoringCase: true)
    // The plain matcher tries everything.
    let isSmall = pattern.utf8.count <= 24 && text.count <= 24
    if isSmall, count("{", pattern) <= 3, count("*", pattern) <= 5 {
      let plain = ReferenceGlob(pattern).matches(ReferenceGlob.characters(of: text))
      try hold(matches == plain, "\(pattern) on \(text): \(matches), plainly \(plain)")
    }
  }

  /// A regular expression and a text: wrapped, doubled and with a matcher that was used before it says the same.
  static let regex = Decoder("regex") { (bytes) throws(Broken) in
    guard let (pattern, text) = divided(bytes), let expression = try? RegularExpression(pattern) else {
      return
    }
    var matcher = RegexMatcher()
    let matches = matcher.matches(expression, in: text.span)
    let again = matcher.matches(expression, in: text.span)
    try hold(matches == again, "\(pattern) on \(text): \(matches), then not")
    for other in ["(?:\(pattern))", "(?:\(pattern))|(?:\(pattern))"] {
      guard let same = try? RegularExpression(other) else { continue }
      let result = matcher.matches(same, in: text.span)
      try hold(result == matches, "\(pattern) on \(text): \(matches), as \(other) not")
    }
    // What matches in a text still matches when it may also be anything.
    guard let any = try? RegularExpression("(?:\(pattern))|") else { return }
    let empty = matcher.matches(any, in: text.span)
    try hold(empty, "\(pattern) or nothing does not match \(text)")
  }
}
