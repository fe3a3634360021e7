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
    guard String(validating: bytes, as: UTF8.self) != nil else { throw SyntaxError(.whole, "not UTF-8") }
    guard aliasLikeTokens(bytes) <= aliasLimit else {
      throw SyntaxError(.whole, "more than \(aliasLimit) YAML aliases", wayOut: "write the values out")
    }
    // SAFETY: the bytes outlive the reader.
    let root = try unsafe bytes.withUnsafeBufferPointer { (bytes) throws(SyntaxError) -> YAMLNode? in
      var reader = try unsafe YAMLReader(bytes)
      return try reader.read()
    }
    guard let root else { throw SyntaxError(.whole, "the file is empty") }
    return root
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
}
