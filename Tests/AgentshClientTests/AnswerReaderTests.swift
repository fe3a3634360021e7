import AgentshClient
import Testing

@Suite struct AnswerReaderTests {
  /// Feeds an answer in pieces and returns status and body of what comes out; nil when it is an error.
  private func read(_ text: String, pieces: Int) -> (Int, String, Bool)? {
    var reader = AnswerReader()
    var rest = Array(text.utf8)[...]
    var status = 0
    var body: [UInt8] = []
    do {
      while true {
        for part in try reader.parts() {
          switch part {
          case .head(let code, _): status = code
          case .body(let bytes): body += bytes
          case .end(let reusable): return (status, String(decoding: body, as: UTF8.self), reusable)
          }
        }
        try reader.feed(rest.prefix(pieces))
        rest = rest.dropFirst(pieces)
      }
    } catch { return nil }
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\ncontent-length:5\r\nConnection: close\r\n\r\nhello", "hello", false),
    (
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
      "hello", true
    ),
    ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", false),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
  ])
  func anAnswerIsTheSameHoweverItIsCut(_ text: String, _ body: String, _ reusable: Bool) throws {
    for pieces in [1, 2, 3, 7, 4096] {
      let answer = try #require(read(text, pieces: pieces), "\(text)")
      #expect(answer == (200, body, reusable))
    }
  }

  @Test func noContentHasNoBody() throws {
    #expect(try #require(read("HTTP/1.1 204 No Content\r\n\r\n", pieces: 9)) == (204, "", true))
  }

  @Test(arguments: [
    "", "HTTP/1.1 200", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1 999 X\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\nx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx", "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nName : x\r\n\r\n", "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
  ])
  func whatIsCutOrCouldBeReadInTwoWaysIsAnError(_ text: String) {
    for pieces in [1, 5, 4096] { #expect(read(text, pieces: pieces) == nil, "\(text)") }
  }

  @Test func aHeadHasALimit() {
    let long = String(repeating: "x", count: AnswerReader.headLimit)
    #expect(read("HTTP/1.1 200 OK\r\nA: \(long)\r\n\r\n", pieces: 4096) == nil)
    #expect(read("HTTP/1.1 200 \(long)\(long)", pieces: 4096) == nil)
    let many = String(repeating: "A: x\r\n", count: AnswerReader.headLimit / 6 + 2)
    #expect(read("HTTP/1.1 200 OK\r\n\(many)\r\n", pieces: 4096) == nil)
  }

  @Test func twoAnswersInOneReadAreTwo() throws {
    var reader = AnswerReader()
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    try reader.feed(Array((one + "a" + one + "b").utf8)[...])
    #expect(try reader.parts() == [.head(status: 200, contentType: ""), .body([97]), .end(reusable: true)])
    #expect(try reader.parts() == [.head(status: 200, contentType: ""), .body([98]), .end(reusable: true)])
  }
}
