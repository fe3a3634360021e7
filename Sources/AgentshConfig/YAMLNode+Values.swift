/// The values that keys may have. Each reader reports what it got instead, with the place, and returns nil.
extension YAMLNode {
  func text(_ what: String, _ problems: inout Problems) -> String? {
    guard case .scalar(let text, _) = content, !isNull else {
      problems.add(place, "\(what) must be text, not \(kind)")
      return nil
    }
    guard !text.utf8.contains(0) else {
      problems.add(place, "\(what) must not hold a zero byte")
      return nil
    }
    return text
  }

  func texts(_ what: String, _ problems: inout Problems) -> [(text: String, place: Place)] {
    guard case .sequence(let items) = content else {
      problems.add(place, "\(what) must be a list, not \(kind)", wayOut: "write [ … ] or lines with -")
      return []
    }
    return items.compactMap { item in
      item.text("an entry of \(what)", &problems).map { (text: $0, place: item.place) }
    }
  }

  func bool(_ what: String, _ problems: inout Problems) -> Bool? {
    if case .scalar(let text, isPlain: true) = content {
      switch text.lowercased() {
      case "true", "yes", "on": return true
      case "false", "no", "off": return false
      default: break
      }
    }
    problems.add(place, "\(what) must be true or false, not \(written)")
    return nil
  }

  func integer(_ what: String, in range: ClosedRange<Int>, _ problems: inout Problems) -> Int? {
    guard case .scalar(let text, isPlain: true) = content, let number = Int(text) else {
      problems.add(place, "\(what) must be a whole number, not \(written)")
      return nil
    }
    guard range.contains(number) else {
      problems.add(
        place, "\(what) must be between \(range.lowerBound) and \(range.upperBound), not \(number)")
      return nil
    }
    return number
  }

  func duration(_ what: String, _ problems: inout Problems) -> Duration? {
    guard case .scalar(let text, _) = content, let duration = Duration(parsing: text) else {
      problems.add(place, "\(what) must be a duration, not \(written)", wayOut: "such as 30s, 5m, 1h30m, 2d")
      return nil
    }
    return duration
  }

  /// nil where a time to wait is too short to be meant.
  func waiting(_ time: Duration, _ what: String, _ problems: inout Problems) -> Duration? {
    if time >= .seconds(1) { return time }
    problems.add(place, "\(what) is shorter than a second", wayOut: "such as 5m")
    return nil
  }

  /// One of some words.
  func word<Value>(_ what: String, _ words: [(String, Value)], _ problems: inout Problems) -> Value? {
    if case .scalar(let text, _) = content, let found = words.first(where: { $0.0 == text }) {
      return found.1
    }
    problems.add(
      place, "\(what) cannot be \(written)", wayOut: "one of: " + words.map(\.0).joined(separator: ", "))
    return nil
  }

  func textMap(_ what: String, _ problems: inout Problems) -> [(key: String, place: Place, value: YAMLNode)] {
    guard case .mapping(let entries) = content else {
      problems.add(place, "\(what) must be a mapping of names to text, not \(kind)")
      return []
    }
    return entries.map { (key: $0.key, place: $0.place, value: $0.value) }
  }

  /// The value as the author wrote it, for a message.
  private var written: String {
    guard case .scalar(let text, let isPlain) = content, !isNull else { return kind }
    let short = text.count > 60 ? text.prefix(60) + "…" : text[...]
    return isPlain ? "\"\(short)\"" : "the quoted text \"\(short)\""
  }
}

/// A mapping whose keys are known: what else it holds is reported at once.
struct Fields {
  let place: Place
  private let entries: [String: YAMLNode.Entry]

  /// nil when `node` is no mapping, which is reported.
  init?(_ node: YAMLNode, _ what: String, keys: [String], _ problems: inout Problems) {
    guard case .mapping(let list) = node.content else {
      problems.add(node.place, "\(what) must be a mapping, not \(node.kind)")
      return nil
    }
    place = node.place
    for entry in list where !keys.contains(entry.key) {
      let near = Self.nearest(to: entry.key, in: keys)
      problems.add(
        entry.place, "unknown key \"\(entry.key)\" in \(what)",
        wayOut: near.map { "did you mean \($0)?" } ?? "known: " + keys.joined(separator: ", "))
    }
    entries = Dictionary(list.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The value of a key; nil when it is absent or empty.
  subscript(_ key: String) -> YAMLNode? {
    guard let node = entries[key]?.value, !node.isNull else { return nil }
    return node
  }

  /// Where a key stands.
  func place(of key: String) -> Place { entries[key]?.place ?? place }

  /// The known key that is one slip of the fingers or two away.
  private static func nearest(to word: String, in keys: [String]) -> String? {
    guard word.utf8.count <= 64 else { return nil }
    let ranked = keys.map { ($0, editDistance(Array(word.utf8), Array($0.utf8))) }
    guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= 2 else { return nil }
    return best.0
  }

  private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for i in a.indices {
      var diagonal = row[0]
      row[0] = i + 1
      for j in b.indices {
        let step = min(row[j] + 1, row[j + 1] + 1, diagonal + (a[i] == b[j] ? 0 : 1))
        diagonal = row[j + 1]
        row[j + 1] = step
      }
    }
    return row[b.count]
  }
}
