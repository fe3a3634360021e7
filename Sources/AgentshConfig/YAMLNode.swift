import Yams

/// A YAML value with its place. Types are not guessed here: a scalar is its text, and whoever wants a number asks.
struct YAMLNode {
  struct Entry {
    let key: String
    let place: Place
    let value: YAMLNode
  }

  enum Content {
    /// `isPlain`: written without quotes, so that `~`, `true` and `5` may be more than text.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping([Entry])
  }

  let place: Place
  let content: Content

  /// `key:` without a value, `~` or `null`.
  var isNull: Bool {
    guard case .scalar(let text, isPlain: true) = content else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }

  /// The field's word for what this is.
  var kind: String {
    switch content {
    case .scalar: isNull ? "nothing" : "a single value"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

/// Reads one YAML document under limits, because a policy may be written by somebody who does not mean well.
enum YAMLDocument {
  static let byteLimit = 1 << 20
  static let depthLimit = 32
  /// Values after aliases are followed.
  static let nodeLimit = 200_000
  /// Aliases multiply; this many of them, whatever they stand for, stay small.
  static let aliasLimit = 16

  /// The document's root. Throws the one diagnostic that stopped the reading.
  static func parse(_ bytes: [UInt8]) throws(SyntaxError) -> YAMLNode {
    guard bytes.count <= byteLimit else { throw SyntaxError(.whole, "larger than \(byteLimit) bytes") }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw SyntaxError(.whole, "not UTF-8") }
    guard aliasLikeTokens(bytes) <= aliasLimit else {
      throw SyntaxError(.whole, "more than \(aliasLimit) YAML aliases", wayOut: "write the values out")
    }
    let root: Node?
    do {
      root = try Yams.compose(yaml: text, .basic, .default, .utf8)
    } catch {
      throw SyntaxError(error)
    }
    guard let root else { throw SyntaxError(.whole, "the file is empty") }
    var budget = nodeLimit
    return try convert(root, depth: 0, &budget)
  }

  private static func convert(_ node: Node, depth: Int, _ budget: inout Int) throws(SyntaxError) -> YAMLNode {
    let place = Place(node.mark)
    budget -= 1
    guard budget >= 0 else { throw SyntaxError(place, "more than \(nodeLimit) values") }
    guard depth <= depthLimit else { throw SyntaxError(place, "nested deeper than \(depthLimit) levels") }
    let tag = node.tag.description
    guard ["", "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"].contains(tag)
    else {
      throw SyntaxError(place, "the tag \(tag) has no meaning here", wayOut: "remove it")
    }
    switch node {
    case .scalar(let scalar):
      return YAMLNode(place: place, content: .scalar(scalar.string, isPlain: scalar.style == .plain))
    case .sequence(let sequence):
      var items: [YAMLNode] = []
      for item in sequence { items.append(try convert(item, depth: depth + 1, &budget)) }
      return YAMLNode(place: place, content: .sequence(items))
    case .mapping(let mapping):
      var entries: [YAMLNode.Entry] = []
      for (key, value) in mapping {
        guard case .scalar(let name) = key else {
          throw SyntaxError(Place(key.mark), "a key must be a single word")
        }
        let value = try convert(value, depth: depth + 1, &budget)
        entries.append(YAMLNode.Entry(key: name.string, place: Place(key.mark), value: value))
      }
      return YAMLNode(place: place, content: .mapping(entries))
    case .alias:
      throw SyntaxError(place, "an alias that stands for nothing")
    }
  }

  /// At least the number of aliases: `*name` where a value may begin. Text in quotes may count too.
  static func aliasLikeTokens(_ bytes: [UInt8]) -> Int {
    var count = 0
    var before = UInt8(ascii: "\n")
    for (index, byte) in bytes.enumerated() {
      if byte == UInt8(ascii: "*"), " \t\r\n[{,:".utf8.contains(before), index + 1 < bytes.count {
        switch bytes[index + 1] {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), 0x80...:
          count += 1
        default: break
        }
      }
      before = byte
    }
    return count
  }
}

/// The text is not YAML, or not within the limits.
struct SyntaxError: Error {
  let diagnostic: Diagnostic

  init(_ place: Place, _ cause: String, wayOut: String = "") {
    diagnostic = Diagnostic(place, cause, wayOut: wayOut)
  }

  init(_ error: any Error) {
    guard let error = error as? YamlError else {
      self.init(.whole, "not YAML: \(error)")
      return
    }
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let begun = context.map { "\($0.text) (from \($0.mark.line):\($0.mark.column)), " } ?? ""
      self.init(Place(mark), "not YAML: \(begun)\(problem)")
    case .duplicatedKeysInMapping(let keys, let context):
      let names = keys.map { "\"\($0)\"" }.joined(separator: ", ")
      self.init(
        Place(context.mark), "the key \(names) is given twice in one mapping, first here", wayOut: "keep one")
    case .reader(let problem, _, _, _): self.init(.whole, "not YAML: \(problem)")
    default: self.init(.whole, "not YAML: \(error)")
    }
  }
}

extension Place {
  fileprivate init(_ mark: Mark?) { self = mark.map { Place(line: $0.line, column: $0.column) } ?? .whole }
}
