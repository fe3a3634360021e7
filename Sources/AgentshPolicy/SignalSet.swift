/// Signals by name or number, as a rule names them.
package struct SignalSet: Sendable, Equatable {
  /// Bit n-1 for signal n (1–64).
  package let bits: UInt64

  /// Reads `SIGTERM`, `term`, `15`, `SIGRTMIN+2` or a group: `@all`, `@fatal` (the default action ends the process),
  /// `@job` (stops and continues), `@reload`, `@ignore` (ignored by default). nil: anything else. signal(7)
  package init?(parsing text: String) {
    let name = text.uppercased()
    if name.hasPrefix("@") {
      guard let bits = Self.groups[name] else { return nil }
      self.bits = bits
    } else if let number = Self.number(name), (1...64).contains(number) {
      bits = 1 << UInt64(number - 1)
    } else {
      return nil
    }
  }

  /// `SIGTERM` for 15, `SIGRTMIN+2` for 36; the number where there is no name.
  package static func name(of signal: Int32) -> String {
    if signal >= 1, signal <= 31 { return "SIG" + names[Int(signal) - 1] }
    if signal == 34 { return "SIGRTMIN" }
    return signal > 34 && signal <= 64 ? "SIGRTMIN+\(signal - 34)" : "\(signal)"
  }

  private static func number(_ name: String) -> Int? {
    if let number = Int(name) { return number }
    let short = name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name
    if let index = names.firstIndex(of: short) { return index + 1 }
    if let alias = aliases[short] { return alias }
    if short == "RTMIN" { return 34 }
    if short == "RTMAX" { return 64 }
    if short.hasPrefix("RTMIN+"), let offset = Int(short.dropFirst(6)), (0...30).contains(offset) {
      return 34 + offset
    }
    if short.hasPrefix("RTMAX-"), let offset = Int(short.dropFirst(6)), (0...30).contains(offset) {
      return 64 - offset
    }
    return nil
  }

  /// Signals 1 to 31 on x86-64, arm64 and riscv64.
  private static let names = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
    "WINCH", "IO",
    "PWR", "SYS",
  ]
  private static let aliases = ["IOT": 6, "CLD": 17, "POLL": 29]

  private static let groups: [String: UInt64] = [
    "@ALL": .max,
    "@FATAL": set([
      "KILL", "TERM", "INT", "QUIT", "ABRT", "ILL", "TRAP", "BUS", "FPE", "SEGV", "SYS", "XCPU", "XFSZ",
    ]),
    "@JOB": set(["STOP", "CONT", "TSTP", "TTIN", "TTOU"]),
    "@RELOAD": set(["HUP", "USR1", "USR2"]),
    "@IGNORE": set(["CHLD", "URG", "WINCH"]),
  ]

  private static func set(_ members: [String]) -> UInt64 {
    members.reduce(0) { $0 | (names.firstIndex(of: $1).map { 1 << UInt64($0) } ?? 0) }
  }
}
