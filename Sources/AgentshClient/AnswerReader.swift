/// Takes answers of HTTP/1.1 apart as their bytes come (RFC 9112). No I/O.
///
/// Strict: what could be read in two ways is an error, and so is what a server of ours does not send.
package struct AnswerReader {
  package enum Part: Equatable {
    case head(status: Int, contentType: String)
    case body([UInt8])
    /// Whether the connection may be used again.
    case end(reusable: Bool)
  }

  /// A line of the head or of a chunk, and all header fields together, are not longer.
  package static let headLimit = 64 * 1024

  private enum State {
    case statusLine, fields
    /// So many bytes are still to come.
    case length(Int)
    case chunkSize, chunk(Int), chunkEnd, trailers
    case untilClosed
  }

  private struct Head {
    var status = 0
    var contentType = ""
    var length: Int?
    var isChunked = false
    var isClosing = false
    var size = 0
  }

  private var state = State.statusLine
  private var head = Head()
  private var input: [UInt8] = []
  private var position = 0
  private var isClosed = false

  package init() {}

  /// Adds what was read; nothing means that the other side closed.
  package mutating func feed(_ bytes: ArraySlice<UInt8>) throws(HTTPError) {
    if bytes.isEmpty { isClosed = true }
    input.removeFirst(position)
    position = 0
    input += bytes
  }

  /// What is complete by now, up to the end of one answer. Throws `.closed` when more was due and cannot come.
  package mutating func parts() throws(HTTPError) -> [Part] {
    var parts: [Part] = []
    while let part = try next() {
      parts.append(part)
      if case .end = part { return parts }
    }
    if isClosed, parts.isEmpty { throw .closed }
    return parts
  }

  /// nil when more input is needed.
  private mutating func next() throws(HTTPError) -> Part? {
    while true {
      switch state {
      case .statusLine:
        guard let line = try line() else { return nil }
        head = Head()
        head.status = try Self.status(line)
        state = .fields
      case .fields:
        guard let line = try line() else { return nil }
        head.size += line.utf8.count + 2
        guard head.size <= Self.headLimit else { throw .notHTTP("its head is too long") }
        if !line.isEmpty {
          try field(line)
        } else if let part = try endOfHead() {
          return part
        }
      case .length(let left):
        if left == 0 { return end(reusable: !head.isClosing) }
        guard let bytes = take(upTo: left) else { return nil }
        state = .length(left - bytes.count)
        return .body(bytes)
      case .chunkSize:
        guard let line = try line() else { return nil }
        let size = try Self.chunkSize(line)
        state = size == 0 ? .trailers : .chunk(size)
      case .chunk(let left):
        guard let bytes = take(upTo: left) else { return nil }
        state = bytes.count == left ? .chunkEnd : .chunk(left - bytes.count)
        return .body(bytes)
      case .chunkEnd:
        guard let line = try line() else { return nil }
        guard line.isEmpty else { throw .notHTTP("a chunk is longer than it says") }
        state = .chunkSize
      case .trailers:
        guard let line = try line() else { return nil }
        if line.isEmpty { return end(reusable: !head.isClosing) }
      case .untilClosed:
        if let bytes = take(upTo: Int.max) { return .body(bytes) }
        return isClosed ? end(reusable: false) : nil
      }
    }
  }

  private mutating func end(reusable: Bool) -> Part {
    state = .statusLine
    return .end(reusable: reusable)
  }

  /// nil after an interim answer (1xx), which another one follows.
  private mutating func endOfHead() throws(HTTPError) -> Part? {
    if (100..<200).contains(head.status) {
      guard head.status != 101 else { throw .notHTTP("it wants another protocol") }
      state = .statusLine
      return nil
    }
    if head.isChunked, head.length != nil { throw .notHTTP("it has two lengths") }
    if head.status == 204 || head.status == 304 {
      state = .length(0)
    } else if head.isChunked {
      state = .chunkSize
    } else if let length = head.length {
      state = .length(length)
    } else {
      state = .untilClosed
    }
    return .head(status: head.status, contentType: head.contentType)
  }

  private mutating func field(_ line: String) throws(HTTPError) {
    guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
      !line[..<colon].utf8.contains(where: { $0 <= 0x20 })
    else { throw .notHTTP("a header field without a name") }
    let value = String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
    switch line[..<colon].lowercased() {
    case "content-type": head.contentType = value
    case "content-length":
      guard head.length == nil, !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let length = Int(value)
      else { throw .notHTTP("its length is not one number") }
      head.length = length
    case "transfer-encoding":
      guard !head.isChunked, value.lowercased() == "chunked" else {
        throw .notHTTP("transfer encoding \(value)")
      }
      head.isChunked = true
    case "connection": if value.lowercased() == "close" { head.isClosing = true }
    default: break
    }
  }

  private static func status(_ line: String) throws(HTTPError) -> Int {
    let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count >= 2, words[0] == "HTTP/1.1", words[1].utf8.count == 3, let status = Int(words[1]),
      (100..<600).contains(status)
    else { throw .notHTTP("it begins with \"\(line.prefix(40))\"") }
    return status
  }

  /// Extensions after `;` are not looked at.
  private static func chunkSize(_ line: String) throws(HTTPError) -> Int {
    let digits = line.prefix { $0 != ";" && $0 != " " }
    guard !digits.isEmpty, digits.utf8.count <= 8, digits.allSatisfy(\.isHexDigit),
      let size = Int(digits, radix: 16)
    else { throw .notHTTP("a chunk without a size") }
    return size
  }

  /// A line without its end; nil when it is not complete.
  private mutating func line() throws(HTTPError) -> String? {
    guard let end = input[position...].firstIndex(of: 0x0A) else {
      guard input.count - position <= Self.headLimit else { throw .notHTTP("a line is too long") }
      return nil
    }
    guard end > position, input[end - 1] == 0x0D else { throw .notHTTP("a line does not end with CR LF") }
    let text = String(decoding: input[position..<(end - 1)], as: UTF8.self)
    position = end + 1
    return text
  }

  private mutating func take(upTo count: Int) -> [UInt8]? {
    let count = min(count, input.count - position)
    guard count > 0 else { return nil }
    defer { position += count }
    return Array(input[position..<(position + count)])
  }
}
