/// As whom a test runs its programs. Every end-to-end test runs as both, because the ways differ: root has
/// capabilities to lose and may become others, an ordinary user has Yama and file modes against it.
package enum Caller: String, CaseIterable, Sendable, CustomStringConvertible {
  case root, user

  /// No line in /etc/passwd: the programs must cope with that too.
  static let uid: UInt32 = 4242

  package var uid: UInt32 { self == .root ? 0 : Self.uid }

  package var description: String { rawValue }
}
