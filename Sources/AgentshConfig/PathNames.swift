// Names as the kernel sees them. To Swift a slash and a combining mark behind it are one character, and texts that
// differ only in how a character is composed are equal; to the kernel never.

extension StringProtocol {
  /// What stands between slashes; empty where two of them meet, and before the first of an absolute path.
  package var pathNames: [String] {
    utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  package func begins(with prefix: String) -> Bool { utf8.starts(with: prefix.utf8) }

  package func isSame(as other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }

  /// Whether this name is `directory`, or below it.
  package func isWithin(_ directory: String) -> Bool {
    isSame(as: directory) || begins(with: directory + "/")
  }

  /// What is left behind the first `prefix.utf8.count` bytes, which are `prefix`.
  package func behind(_ prefix: String) -> String {
    String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
  }
}
