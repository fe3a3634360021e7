package import AgentshEvent

/// Events as they are stored: what is asked for, and their JSON lines one behind the other.
package struct AuditRows: Sendable {
  package struct Row: Sendable {
    /// Who numbers: one supervisor, or one life of the daemon. A random number, so that no two are the same.
    package var stream: UInt64
    /// Counts from 1 within the stream: the same (stream, number) is stored once, however often it comes.
    package var number: UInt64
    /// uid of the session's owner: nobody else reads it.
    package var owner: UInt32
    package var session: String
    /// Nanoseconds since 1970.
    package var time: UInt64
    package var type: String
    package var decision: String?
    package var effective: String?
    package var path: String?

    package init(
      stream: UInt64, number: UInt64, owner: UInt32, session: String, time: UInt64, type: String,
      decision: String? = nil, effective: String? = nil, path: String? = nil
    ) {
      self.stream = stream
      self.number = number
      self.owner = owner
      self.session = session
      self.time = time
      self.type = type
      self.decision = decision
      self.effective = effective
      self.path = path
    }
  }

  private(set) var rows: [Row] = []
  /// Where each row's line ends, its newline included.
  private(set) var ends: [Int] = []
  private var text = JSONText()

  package init() {}

  package var count: Int { rows.count }
  /// All lines.
  package var lines: [UInt8] { text.bytes }
  /// A row's line without its newline.
  func line(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<(ends[index] - 1) }

  /// `json` writes one object.
  package mutating func add(_ row: Row, json: (inout JSONText) -> Void) {
    json(&text)
    text.newLine()
    rows.append(row)
    ends.append(text.bytes.count)
  }
}
