extension Event {
  /// One line of JSON without the newline; UTF-8. Bytes that are not UTF-8 have become U+FFFD before they get here.
  package var json: [UInt8] {
    var out = JSONText()
    out.reserve(512)
    out.begin()
    out.field("id", id)
    out.field("timestamp", rfc3339(timestamp))
    out.field("type", type)
    out.field("session_id", sessionID)
    if let commandID { out.field("command_id", commandID) }
    if let source { out.field("source", source) }
    if let pid { out.field("pid", Int64(pid)) }
    if let policy {
      out.key("policy")
      out.begin()
      out.field("decision", policy.decision)
      out.field("effective_decision", policy.effectiveDecision)
      out.field("rule", policy.rule)
      if let message = policy.message { out.field("message", message) }
      out.end()
    }
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
    if !fields.isEmpty {
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
    out.end()
    return out.bytes
  }
}

/// A JSON object written front to back. RFC 8259.
package struct JSONText {
  package private(set) var bytes: [UInt8] = []
  private var first = true

  package init() {}
  package mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }
  package mutating func begin() {
    bytes.append(UInt8(ascii: "{"))
    first = true
  }
  package mutating func end() {
    bytes.append(UInt8(ascii: "}"))
    first = false
  }
  package mutating func key(_ name: String) {
    if !first { bytes.append(UInt8(ascii: ",")) }
    first = false
    string(name)
    bytes.append(UInt8(ascii: ":"))
  }
  package mutating func field(_ name: String, _ value: String) {
    key(name)
    string(value)
  }
  package mutating func field(_ name: String, _ value: Int64) {
    key(name)
    bytes.append(contentsOf: String(value).utf8)
  }
  package mutating func field(_ name: String, _ value: Bool) {
    key(name)
    bytes.append(contentsOf: (value ? "true" : "false").utf8)
  }
  package mutating func field(_ name: String, _ value: [String]) {
    key(name)
    bytes.append(UInt8(ascii: "["))
    for (index, item) in value.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      string(item)
    }
    bytes.append(UInt8(ascii: "]"))
  }

  private mutating func string(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    defer { bytes.append(UInt8(ascii: "\"")) }
    // Nearly every text needs no escape and goes in as one copy.
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C && $0 != 0x7F }) {
      bytes.append(contentsOf: text.utf8)
      return
    }
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case 0x0A: bytes.append(contentsOf: [0x5C, 0x6E])
      case 0x09: bytes.append(contentsOf: [0x5C, 0x74])
      case 0x0D: bytes.append(contentsOf: [0x5C, 0x72])
      case 0..<0x20, 0x7F:
        bytes.append(contentsOf: [0x5C, 0x75, 0x30, 0x30, hex(byte >> 4), hex(byte & 15)])
      default: bytes.append(byte)
      }
    }
  }

  private func hex(_ digit: UInt8) -> UInt8 { digit < 10 ? 0x30 + digit : 0x57 + digit }
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
