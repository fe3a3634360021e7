extension Event {
  /// One line of JSON without the newline; UTF-8. Bytes that are not UTF-8 have become U+FFFD before they get here.
  package var json: [UInt8] {
    var out = JSONText()
    out.reserve(512)
    write(to: &out)
    return out.bytes
  }

  /// The same behind what `out` has already.
  package func write(to out: inout JSONText) {
    out.begin()
    out.field("id", id)
    out.field("timestamp", time: timestamp)
    out.field("type", type)
    out.field("session_id", sessionID)
    if let commandID { out.field("command_id", commandID) }
    if let source { out.field("source", source) }
    if let pid { out.field("pid", Int64(pid)) }
    if let policy { policy.write(to: &out) }
    if let parentPid { out.field("parent_pid", Int64(parentPid)) }
    if let depth { out.field("depth", Int64(depth)) }
    if let path { out.field("path", path) }
    if let operation { out.field("operation", operation) }
    if let filename { out.field("filename", filename) }
    if let rawFilename { out.field("raw_filename", rawFilename) }
    if let argv { out.field("argv", argv) }
    if let domain { out.field("domain", domain) }
    if let remote { out.field("remote", remote) }
    if let effectiveAction { out.field("effective_action", effectiveAction) }
    writeFields(to: &out)
    out.end()
  }

  private func writeFields(to out: inout JSONText) {
    guard !fields.isEmpty else { return }
    out.key("fields")
    out.begin()
    for (key, value) in fields {
      switch value {
      case .text(let text): out.field(key, text)
      case .number(let number): out.field(key, number)
      case .flag(let flag): out.field(key, flag)
      case .list(let list): out.field(key, list)
      }
    }
    out.end()
  }
}

extension PolicyOutcome {
  /// As the field `policy` of an object that has been begun.
  package func write(to out: inout JSONText) {
    out.key("policy")
    out.begin()
    out.field("decision", decision)
    out.field("effective_decision", effectiveDecision)
    out.field("rule", rule)
    if let message { out.field("message", message) }
    if needsApproval {
      out.key("approval")
      out.begin()
      out.field("required", true)
      out.field("mode", "enforced")
      out.end()
    }
    out.end()
  }
}

/// `2026-11-23T17:14:03.412499223Z` from nanoseconds since 1970, UTC. RFC 3339.
package func rfc3339(_ nanoseconds: UInt64) -> String {
  let seconds = Int64(nanoseconds / 1_000_000_000)
  let rest = nanoseconds % 1_000_000_000
  // Days to civil date in the proleptic Gregorian calendar, eras of 400 years that begin in March.
  let days = seconds / 86_400 + 719_468
  let era = days / 146_097
  let dayOfEra = days % 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let shifted = (5 * dayOfYear + 2) / 153
  let day = dayOfYear - (153 * shifted + 2) / 5 + 1
  let month = shifted < 10 ? shifted + 3 : shifted - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  let second = seconds % 86_400
  var text: [UInt8] = []
  text.reserveCapacity(30)
  func digits(_ value: Int64, _ width: Int, then end: Character) {
    var divisor = Int64(1)
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      text.append(0x30 + UInt8(truncatingIfNeeded: value / divisor % 10))
      divisor /= 10
    }
    text.append(end.asciiValue ?? 0x20)
  }
  digits(year, 4, then: "-")
  digits(month, 2, then: "-")
  digits(day, 2, then: "T")
  digits(second / 3600, 2, then: ":")
  digits(second / 60 % 60, 2, then: ":")
  digits(second % 60, 2, then: ".")
  digits(Int64(rest), 9, then: "Z")
  return String(decoding: text, as: UTF8.self)
}
