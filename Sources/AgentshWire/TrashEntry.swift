/// What was deleted softly, and can be had back: the file lies in a trash directory as `files/ID`, and this as `info/ID`.
///
/// `info/ID` is text: a line that says what it is, then `key=value` lines. The path is escaped byte by byte
/// (`%0A`), for paths need not be UTF-8.
package struct TrashEntry: Sendable, Equatable {
  /// The name that it was deleted by: canonical, absolute, any bytes but NUL.
  package var path: [UInt8]
  /// Seconds since 1970.
  package var deleted: UInt64
  package var session: String
  package var rule: String

  package init(path: [UInt8], deleted: UInt64, session: String, rule: String) {
    self.path = path
    self.deleted = deleted
    self.session = session
    self.rule = rule
  }

  /// In a trash directory: what was deleted, and what is known of it.
  package static let files = "files"
  package static let info = "info"

  /// The mode of the empty file that keeps the place of one that is about to come: nobody may read it, and it has the sticky
  /// bit. Where it is left, the supervisor was killed, and nothing was deleted.
  package static let placeMode: UInt32 = 0o1000

  /// A trash directory below a directory of the user's, for what lies on that file system.
  package static let workspaceName = ".agentsh_trash"

  /// Where a session's deletions go, best first: the user's own directory, and one in the workspace, which may lie on another
  /// file system. Both absolute and canonical, as `home` and `workspace` are.
  package static func directories(home: String, workspace: String) -> [String] {
    [below(home, ".local/state/agentsh/trash"), below(workspace, workspaceName)]
  }

  /// `name` in `directory`, which may be the root.
  package static func below(_ directory: String, _ name: String) -> String {
    directory == "/" ? "/" + name : directory + "/" + name
  }

  private static let heading = "agentsh trash 1"
  /// Far more than an entry with the longest path is.
  package static let limit = 32_768

  package var text: String {
    var text = Self.heading + "\n"
    for (key, value) in [
      ("path", Self.escaped(path)), ("deleted", String(deleted)),
      ("session", Self.escaped(Array(session.utf8))),
      ("rule", Self.escaped(Array(rule.utf8))),
    ] {
      text += key
      text += "="
      text += value
      text += "\n"
    }
    return text
  }

  /// nil for what `text` has not made.
  package init?(text: [UInt8]) {
    guard text.count <= Self.limit else { return nil }
    let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    guard lines.count == 6, lines[5].isEmpty, lines[0].elementsEqual(Self.heading.utf8) else { return nil }
    var values: [[UInt8]] = []
    for (line, key) in zip(lines[1..<5], ["path", "deleted", "session", "rule"]) {
      guard line.starts(with: (key + "=").utf8),
        let value = Self.unescaped(line.dropFirst(key.utf8.count + 1))
      else { return nil }
      values.append(value)
    }
    guard values[0].first == UInt8(ascii: "/"), !values[0].contains(0),
      let deleted = UInt64(String(decoding: values[1], as: UTF8.self))
    else { return nil }
    self.init(
      path: values[0], deleted: deleted, session: String(decoding: values[2], as: UTF8.self),
      rule: String(decoding: values[3], as: UTF8.self))
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "%")
  }

  private static let digits = Array("0123456789ABCDEF".utf8)

  private static func escaped(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = []
    for byte in bytes {
      if isPlain(byte) {
        result.append(byte)
      } else {
        result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        guard isPlain(byte) else { return nil }
        result.append(byte)
        continue
      }
      guard let high = rest.popFirst(), let low = rest.popFirst(), let first = digits.firstIndex(of: high),
        let second = digits.firstIndex(of: low)
      else { return nil }
      result.append(UInt8(first << 4 | second))
    }
    return result
  }
}
