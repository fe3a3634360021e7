/// Takes `text/event-stream` apart; only `data` matters here. WHATWG HTML, section 9.2.
package struct ServerSentEvents: Sendable {
  /// One event's data is not longer; a longer one is dropped.
  package static let dataLimit = 1 << 20
  private var line: [UInt8] = []
  private var data: [UInt8]?
  private var tooLong = false

  package init() {}

  /// Feeds bytes as they come; returns the data of every event that they complete.
  package mutating func feed(_ bytes: [UInt8]) -> [[UInt8]] {
    var complete: [[UInt8]] = []
    for byte in bytes {
      switch byte {
      case 0x0A:
        if let event = endLine() { complete.append(event) }
      case 0x0D: continue
      default:
        if line.count < Self.dataLimit { line.append(byte) } else { tooLong = true }
      }
    }
    return complete
  }

  private mutating func endLine() -> [UInt8]? {
    defer { line.removeAll(keepingCapacity: true) }
    if line.isEmpty {
      defer {
        data = nil
        tooLong = false
      }
      return tooLong ? nil : data
    }
    let field = Array("data:".utf8)
    guard line.starts(with: field) else { return nil }
    var value = line.dropFirst(field.count)
    if value.first == 0x20 { value = value.dropFirst() }
    if let before = data {
      guard before.count + value.count < Self.dataLimit else {
        tooLong = true
        return nil
      }
      data = before + [0x0A] + value
    } else {
      data = Array(value)
    }
    return nil
  }
}
