import AgentshConfig
import AgentshEvent
import FoundationEssentials
import LinuxSystem

/// What a person wants to know of an event.
struct EventSummary: Decodable, Equatable {
  struct Policy: Decodable, Equatable {
    let effective_decision: String
    let rule: String
    let message: String?
  }
  let timestamp: String
  let type: String
  let session_id: String
  let pid: Int32?
  let policy: Policy?
  let path: String?
  let operation: String?
  let filename: String?
  let argv: [String]?
  let domain: String?
  let remote: String?
  /// Of the session's life.
  let fields: [String: EventField]?

  /// What it was done to.
  var object: String {
    if let argv, !argv.isEmpty { return argv.joined(separator: " ") }
    return path ?? filename ?? remote ?? domain ?? ""
  }

  /// `key=value …` by name, where nothing was decided.
  var details: String? {
    guard policy == nil, let fields else { return nil }
    return fields.sorted { $0.key < $1.key }.filter { !$0.value.text.isEmpty }
      .map { "\($0.key)=\($0.value.text)" }.joined(separator: " ")
  }
}

/// A value of `fields`, as a person reads it.
struct EventField: Decodable, Equatable {
  let text: String

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let flag = try? value.decode(Bool.self) {
      text = flag ? "true" : "false"
    } else if let number = try? value.decode(Int64.self) {
      text = String(number)
    } else if let word = try? value.decode(String.self) {
      text = word
    } else {
      text = ((try? value.decode([EventField].self)) ?? []).map(\.text).joined(separator: " ")
    }
  }
}

/// One event as one line for a terminal.
package enum EventLine {
  /// The line, with its end. What is not an event comes out as it went in.
  package static func text(_ json: ArraySlice<UInt8>) -> [UInt8] {
    guard let event = try? JSONDecoder().decode(EventSummary.self, from: Data(json)) else {
      return json + [0x0A]
    }
    return Array((text(event) + "\n").utf8)
  }

  static func text(_ event: EventSummary) -> String {
    // To the millisecond; RFC 3339 sorts as text.
    let time = String(event.timestamp.prefix(23).map { $0 == "T" ? " " : $0 })
    var columns: [String] = [
      time, padded(event.policy?.effective_decision ?? "-", 5), padded(event.type, 16),
      padded(event.pid.map { String($0) } ?? "-", 7),
    ]
    columns.append(
      [event.operation, event.object, event.details].compactMap { $0 }.filter { !$0.isEmpty }.joined(
        separator: " "))
    if let policy = event.policy, !policy.rule.isEmpty {
      columns.append("[\(policy.rule)\(policy.message.map { ": " + $0 } ?? "")]")
    }
    return printable(columns.joined(separator: "  "))
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// As `printable`, with line breaks left in.
  static func printableLines(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { printable(String($0)) }.joined(
      separator: "\n")
  }

  /// The agent chose these names: nothing in them may steer a terminal or hide text.
  package static func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// The filters of `events tail`, which the stream itself does not have.
struct EventFilter: Sendable {
  let types: [String]
  let decision: String?
  let path: String?

  init(_ filter: EventsCommand.Filter) {
    types = filter.type.map { $0.split(separator: ",").map(String.init) } ?? []
    decision = filter.decision
    path = filter.path
  }

  func matches(_ json: [UInt8]) -> Bool {
    if types.isEmpty, decision == nil, path == nil { return true }
    guard let event = try? JSONDecoder().decode(EventSummary.self, from: Data(json)) else { return false }
    if !types.isEmpty, !types.contains(event.type) { return false }
    if let decision, event.policy?.effective_decision != decision { return false }
    guard let path else { return true }
    let object = event.path ?? event.filename ?? ""
    return path.hasSuffix("*") ? object.hasPrefix(path.dropLast()) : object == path
  }
}

/// As below, from now.
func eventTime(_ text: String) -> String? { eventTime(text, now: wallClock()) }

/// RFC 3339 for a time as the command line takes it; nil when it is neither that nor a duration before now.
package func eventTime(_ text: String, now: UInt64) -> String? {
  if let ago = Duration(parsing: text) {
    let (seconds, attoseconds) = ago.components
    let nanoseconds =
      UInt64(clamping: seconds) &* 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
    return rfc3339(now > nanoseconds ? now - nanoseconds : 0)
  }
  // The daemon reads it whole; here only what is certainly not a time is found early.
  let bytes = Array(text.utf8)
  guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-") else { return nil }
  guard bytes[10] == UInt8(ascii: "T") || bytes[10] == UInt8(ascii: "t"), bytes[13] == UInt8(ascii: ":")
  else {
    return nil
  }
  return text
}
