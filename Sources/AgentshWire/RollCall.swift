/// In ptrace mode the launcher makes each call that is to be traced, with the same word in all six registers, before it
/// becomes the command; the supervisor answers with another word. Nothing else is meant by either.
package enum RollCall {
  /// No address, no descriptor, no signal.
  package static let argument = 0x0000_7fff_ffff_f123
  package static let answer = 0x0a67_7368
  /// renameat2 and later (Linux 3.15): filters of others may not know them.
  package static let firstNewCall: UInt32 = 316
}
