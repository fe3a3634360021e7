import AgentshClient

/// What a reader made of a stream.
private struct Reading: Equatable {
  var parts: [AnswerReader.Part] = []
  var failed = false

  /// Body parts that follow one another are one.
  mutating func append(_ part: AnswerReader.Part) {
    if case .body(let more) = part, case .body(let before)? = parts.last {
      parts[parts.count - 1] = .body(before + more)
    } else {
      parts.append(part)
    }
  }
}

/// Feeds a stream in pieces of so many bytes, and its end.
private func read(_ stream: [UInt8], pieces: (Int) -> Int) -> Reading {
  var reading = Reading()
  var reader = AnswerReader()
  var offset = 0
  do throws(HTTPError) {
    while true {
      let count = offset < stream.count ? min(max(1, pieces(offset)), stream.count - offset) : 0
      try reader.feed(stream[offset..<(offset + count)])
      offset += count
      // After an answer's end there may be another one.
      var more = true
      while more {
        let parts = try reader.parts()
        parts.forEach { reading.append($0) }
        more = !parts.isEmpty
      }
      if count == 0 { return reading }
    }
  } catch {
    reading.failed = true
    return reading
  }
}

/// An answer that breaks off may have been taken in part before it did.
private func compare(_ whole: Reading, _ pieces: Reading) throws(Broken) {
  let isSame = whole.failed ? pieces.failed : whole == pieces
  try hold(isSame, "\(whole), and in pieces \(pieces)")
}

extension Decoder {
  /// The daemon's answers: however the bytes are divided on their way, they mean the same.
  static let answer = Decoder("answer") { (bytes) throws(Broken) in
    let seed = Int(bytes.first ?? 0)
    let stream = Array(bytes.dropFirst())
    let whole = read(stream) { _ in stream.count }
    let single = read(stream) { _ in 1 }
    try compare(whole, single)
    let divided = read(stream) { ($0 &* 31 &+ seed) % 17 }
    try compare(whole, divided)
    var body = 0
    for part in whole.parts {
      if case .head(let status, _) = part { try hold((200..<600).contains(status), "status \(status)") }
      if case .body(let bytes) = part { body += bytes.count }
    }
    try hold(body <= stream.count, "\(body) bytes from \(stream.count)")
  }
}
