import AgentshPolicy

// Names as the kernel sees them. To Swift a slash and a combining mark behind it are one character, and texts that
// differ only in how a character is composed are equal; to the kernel never.

extension StringProtocol {
  /// What stands between slashes; empty where two of them meet, and before the first of an absolute path.
  package var pathParts: [String] {
    utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// The names on the way, without what is empty.
  package var pathNames: [String] { pathParts.filter { !$0.isEmpty } }

  package func begins(with prefix: String) -> Bool { utf8.starts(with: prefix.utf8) }
}

extension String {
  /// Whether this path is `directory`, or below it. Both canonical.
  package func isWithin(_ directory: String) -> Bool {
    directory == "/" || isBelow(utf8.span, directory.utf8.span)
  }

  /// What is left behind the first `prefix.utf8.count` bytes, which are `prefix`.
  package func behind(_ prefix: String) -> String {
    String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
  }

  /// This absolute path and the directories above it, nearest first; the root is the last.
  package var upwards: [String] {
    let names = pathNames
    return (0...names.count).reversed().map { "/" + names[..<$0].joined(separator: "/") }
  }
}
