/// A single glob, compiled; what a list of rules does not need: for lists there is `CompiledPolicy`. The language is
/// described at `GlobPattern`.
package struct Glob: Sendable {
  private let program: GlobProgram

  /// Throws with the byte offset where `pattern` is wrong.
  package init(_ pattern: String, ignoringCase: Bool = false) throws(PatternError) {
    let parsed = try GlobPattern(pattern, ignoringCase: ignoringCase)
    guard let program = GlobProgram([(0, parsed)]) else { throw PatternError(offset: 0, cause: "too large") }
    self.program = program
  }

  /// Whether the glob matches all of `text`, in time linear in its length.
  package func matches(_ text: borrowing Span<UInt8>) -> Bool { program.matches(text) }

  package func matches(_ text: String) -> Bool { matches(Array(text.utf8).span) }
}
