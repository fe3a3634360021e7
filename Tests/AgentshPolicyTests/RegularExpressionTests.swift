import AgentshPolicy
import Testing

struct RegularExpressionTests {
  @Test("Expressions match what libre2 says they match, and are refused where it refuses them")
  func agreesWithRE2() {
    var matcher = RegexMatcher()
    let texts = RE2Corpus.texts.map { Array($0.utf8) }
    var wrong: [String] = []
    let rows = RE2Corpus.table.split(separator: "\n")
    for row in rows {
      let parts = row.split(separator: " ", maxSplits: 1)
      let pattern = String(parts[1])
      var answer = "E"
      if let expression = try? RegularExpression(pattern) {
        var bits: UInt64 = 0
        for text in texts { bits = bits << 1 | (matcher.matches(expression, in: text.span) ? 1 : 0) }
        let digits = String(bits, radix: 16)
        answer = String(repeating: "0", count: 11 - digits.count) + digits
      }
      if answer != parts[0] { wrong.append("\(pattern): \(answer), not \(parts[0])") }
    }
    #expect(wrong.isEmpty)
    #expect(rows.count >= 700)
  }

  @Test(
    "A wrong expression is refused with the place",
    arguments: [
      ("a**", 2), ("(a", 0), ("a)", 1), ("é[", 2), ("\\C", 0), ("a\\1", 1), ("x{1001}", 1), ("(?=a)", 0),
      ("\\p{Greek}", 0), ("*", 0), ("a|*", 2), ("a(?i)*", 5), ("\\", 0), ("[z-a]", 1), ("(?<n", 0),
    ])
  func refuses(_ row: (pattern: String, offset: Int)) {
    let error = #expect(throws: PatternError.self) { try RegularExpression(row.pattern) }
    #expect(error?.offset == row.offset, "\(row.pattern): \(String(describing: error))")
  }

  @Test("An expression that is too large or too deep is refused, not compiled")
  func isBounded() {
    #expect(throws: PatternError.self) { try RegularExpression("((a{10}){10}){11}") }
    #expect(throws: PatternError.self) { try RegularExpression("(\\pL{100}){10}") }
    #expect(throws: PatternError.self) { try RegularExpression(String(repeating: "(", count: 100_000)) }
  }

  @Test("Time is linear where backtracking would take for ever")
  func isLinear() throws {
    let started = ContinuousClock.now
    var matcher = RegexMatcher()
    let text = [UInt8](repeating: UInt8(ascii: "a"), count: 20_000)
    for pattern in ["(a*)*b", "(a|aa)+$b", "(x+x+)+y", "(a?){0,100}a{100}b", ".*.*.*=.*"] {
      let isMatch = try matcher.matches(RegularExpression(pattern), in: text.span)
      #expect(!isMatch)
    }
    #expect(ContinuousClock.now - started < .seconds(10))
  }

  @Test("Bytes that are not UTF-8 are matched by . and negated sets only")
  func invalidBytes() throws {
    var matcher = RegexMatcher()
    func matches(_ pattern: String, _ bytes: [UInt8]) throws -> Bool {
      matcher.matches(try RegularExpression(pattern), in: bytes.span)
    }
    #expect(try matches("^.$", [0xFF]))
    #expect(try matches("^[^a]$", [0xC3]))
    #expect(try matches("^[^é]$", [0xC3]))
    #expect(try !matches("^[^é]$", Array("é".utf8)))
    #expect(try !matches("[^é]", Array("é".utf8)))
    #expect(try matches("a.b", [0x61, 0x00, 0x62]))
    #expect(try !matches("\\w", [0xE9]))
  }
}
