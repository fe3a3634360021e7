import AgentshPolicy
import AgentshWire

func encoded(_ value: some WireCodable) -> [UInt8] {
  var writer = WireWriter()
  writer.value(value)
  return writer.bytes
}

/// All of `bytes` as one value; nil where they are refused.
func decoded<T: WireCodable>(_: T.Type, _ bytes: [UInt8]) -> T? {
  var reader = WireReader(bytes)
  guard let value = try? reader.value(T.self), (try? reader.finish()) != nil else { return nil }
  return value
}

/// Decodes `bytes`. What is accepted is written as the same bytes again, unless text in it was not UTF-8 and has been
/// repaired, and means the same when it is read again.
@discardableResult
func roundTrip<T: WireCodable & Equatable>(_ type: T.Type, _ bytes: [UInt8]) throws(Broken) -> T? {
  guard let value = decoded(type, bytes) else { return nil }
  let again = encoded(value)
  try hold(again == bytes || isRepaired(again), "\(type): accepted, but written as \(again)")
  try hold(decoded(type, again) == value, "\(type): means something else when it is read again")
  return value
}

/// Whether there is a U+FFFD in it.
func isRepaired(_ bytes: [UInt8]) -> Bool {
  guard bytes.count >= 3 else { return false }
  return (0..<bytes.count - 2).contains {
    bytes[$0] == 0xEF && bytes[$0 + 1] == 0xBF && bytes[$0 + 2] == 0xBD
  }
}

extension Decoder {
  /// What a client sends with its listener, and what it tells the supervisor that it has become.
  static let handoff = Decoder("handoff") { (bytes) throws(Broken) in
    if let message = try? HandoffMessage(bytes) {
      if message == .old {
        try hold(bytes.count == 1, "an old client sends one byte")
      } else {
        try hold(message.bytes == bytes, "hand-off: written as \(message.bytes)")
      }
    }
    try roundTrip(Started.self, bytes)
    guard let handIn = decoded(HandIn.self, bytes) else { return }
    let again = encoded(handIn)
    let same = again == bytes || isRepaired(again)
    try hold(same, "hand-in: written as \(again)")
    try hold(decoded(HandIn.self, again) == handIn, "hand-in: means something else when it is read again")
  }

  /// A frame: its head, and the payload that its kind asks for.
  static let frame = Decoder("frame") { (bytes) throws(Broken) in
    let head = Array(bytes.prefix(FrameHeader.size))
    if let header = try? FrameHeader(head) {
      try hold(
        encoded(UInt32(header.length)) + [header.kind.rawValue] == head
          && header.length <= FrameHeader.payloadLimit,
        "a head of \(header) from \(head)")
    }
    guard bytes.count > 4, let kind = FrameKind(rawValue: bytes[4]) else { return }
    let payload = Array(bytes.dropFirst(FrameHeader.size))
    switch kind {
    case .welcome:
      if let welcome = try roundTrip(Welcome.self, payload) {
        try hold(welcome.reattachKey.count == reattachKeySize, "a key of \(welcome.reattachKey.count) bytes")
        _ = try? CompiledPolicy(welcome.policy)
      }
    case .stored: try roundTrip(UInt64.self, payload)
    case .end, .failed: try roundTrip(String.self, payload)
    case .ready: try roundTrip(Ready.self, payload)
    case .finished: try roundTrip(Finished.self, payload)
    case .hello: try roundTrip(Hello.self, payload)
    case .approvalRequest: try roundTrip(ApprovalRequest.self, payload)
    case .approvalAnswer: try roundTrip(ApprovalAnswer.self, payload)
    case .approvalWithdrawn: try roundTrip(ApprovalWithdrawal.self, payload)
    case .events:
      let batch = try roundTrip(EventBatch.self, payload)
      let summary = try? EventBatch.check(payload)
      try hold(
        summary?.first == batch?.first && summary?.count == batch?.records.count,
        "checked as \(String(describing: summary)), decoded as \(String(describing: batch))")
    }
  }

  /// The launch plan, as bytes and as the text in the environment; the words of a supervisor's command line; what an agent
  /// begins again as.
  static let launchPlan = Decoder("launch-plan") { (bytes) throws(Broken) in
    try roundTrip(LaunchPlan.self, bytes)
    try roundTrip(RestartPlan.self, bytes)
    try checkHex(bytes.map { hexDigits[Int($0 >> 4)] + hexDigits[Int($0 & 15)] }.joined())
    try checkHex(String(decoding: bytes, as: UTF8.self))
    let words = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    guard let command = SupervisorCommand(parsing: words) else { return }
    try hold(
      SupervisorCommand(parsing: Array(command.argv.dropFirst())) == command,
      "\(words) are written as \(command.argv)")
    try hold(command.descriptors.allSatisfy { $0 >= 0 }, "a descriptor below 0 in \(words)")
  }
}

private let hexDigits = (0..<16).map { String($0, radix: 16) }

private func checkHex(_ text: String) throws(Broken) {
  guard let plan = try? LaunchPlan(hex: text) else { return }
  let again = plan.hex
  let repaired = isRepaired(encoded(plan))
  try hold(again == text || repaired, "the plan \(text) is written as \(again ?? "nothing")")
  guard let again else { return }
  try hold(
    (try? LaunchPlan(hex: again)) == plan, "the plan \(text) means something else when it is read again")
}
