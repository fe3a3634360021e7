import AgentshCommands
import Testing

@Suite struct TextTests {
  private func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

  @Test func jsonIsIndentedAsUpstreamPrintsIt() {
    let out = text(indented(json: #"{"id":"a,b:{","list":[1,{"x":"\"]"}],"none":[],"empty":{}}"#.utf8))
    #expect(
      out == """
        {
          "id": "a,b:{",
          "list": [
            1,
            {
              "x": "\\"]"
            }
          ],
          "none": [],
          "empty": {}
        }

        """)
  }

  @Test func indentingWhatIsIndentedChangesNothing() {
    let once = indented(json: #"[{"a":[1,2]},{}]"#.utf8)
    #expect(indented(json: once) == once)
  }

  @Test func anArrayIsTakenApartByItsCommasAlone() {
    let elements = JSONArray.elements(Array(#" [ {"a":"],[","b":[1,2]} , "x,y", 3 ] "#.utf8)).map { text($0) }
    #expect(elements == [#"{"a":"],[","b":[1,2]}"#, #""x,y""#, "3"])
    #expect(JSONArray.elements(Array("[]".utf8)).isEmpty)
    #expect(JSONArray.elements([]).isEmpty)
  }

  @Test func serverSentEventsComeWholeHoweverTheyAreCut() {
    let stream =
      ": hello\n\nid: 1\nevent: file_open\ndata: {\"a\":1}\n\ndata: x\r\ndata:y\r\n\r\n:\n\nid: 3\n\n"
    for size in [1, 2, 3, 7, 1000] {
      var parser = ServerSentEvents()
      var found: [String] = []
      var rest = Array(stream.utf8)[...]
      while !rest.isEmpty {
        found += parser.feed(Array(rest.prefix(size))).map { text($0) }
        rest = rest.dropFirst(size)
      }
      #expect(found == ["{\"a\":1}", "x\ny"])
    }
  }

  @Test func anEventLongerThanTheLimitIsDroppedAndTheNextOneComes() {
    var parser = ServerSentEvents()
    let long = "data: " + String(repeating: "x", count: ServerSentEvents.dataLimit + 5) + "\n\ndata: y\n\n"
    #expect(parser.feed(Array(long.utf8)).map { text($0) } == ["y"])
  }

  @Test func anEventIsOneLineForATerminal() {
    let json =
      #"{"id":"1","timestamp":"2026-11-23T17:14:06.108230184Z","type":"file_open","session_id":"s","pid":9394,"#
      + #""policy":{"decision":"deny","effective_decision":"deny","rule":"deny-secrets","message":"off limits"},"#
      + #""path":"/srv/key","operation":"open"}"#
    let line = text(EventLine.text(Array(json.utf8)[...]))
    #expect(
      line
        == "2026-11-23 17:14:06.108  deny   file_open         9394     open /srv/key  [deny-secrets: off limits]\n"
    )
  }

  @Test func whatIsNoDecisionShowsItsFields() {
    let json =
      #"{"id":"1","timestamp":"2026-11-23T17:14:06.108230184Z","type":"approval_resolved","session_id":"s","#
      + #""fields":{"resolved_by":0,"approved":true,"args":["a","b\u001b"],"message":"","approval_id":"x1","more":{}}}"#
    #expect(
      text(EventLine.text(Array(json.utf8)[...]))
        == "2026-11-23 17:14:06.108  -      approval_resolved  -        approval_id=x1 approved=true args=a b\\u{1b} resolved_by=0\n"
    )
  }

  @Test func namesThatTheAgentChoseDoNotSteerTheTerminal() {
    #expect(EventLine.printable("a\u{1b}[2Jb\n\u{202e}c\u{7f}ü") == "a\\u{1b}[2Jb\\u{a}\\u{202e}c\\u{7f}ü")
  }

  @Test func timesAreRFC3339OrHowLongAgo() {
    let now: UInt64 = 1_795_454_046_000_000_000
    #expect(eventTime("0", now: now) == eventTime("0s", now: now))
    #expect(eventTime("1h", now: now) == "2026-11-23T16:14:06.000000000Z")
    #expect(eventTime("2026-11-23T17:14:00Z", now: now) == "2026-11-23T17:14:00Z")
    for wrong in ["", "yesterday", "5", "-5m", "2026-11-23"] {
      #expect(eventTime(wrong, now: now) == nil, "\(wrong)")
    }
  }

  @Test func hexIsReadWhole() {
    #expect(bytes(hex: "00ffA5") == [0, 255, 0xA5])
    for wrong in ["0", "0g", "zz"] { #expect(bytes(hex: wrong) == nil) }
  }

  @Test func aProcessInsideASessionIsKnownByTheKernelsWord() {
    #expect(Confinement.isConfined(status: "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"))
    #expect(!Confinement.isConfined(status: "NoNewPrivs:\t0\nSeccomp:\t2\n"))
    #expect(!Confinement.isConfined(status: "NoNewPrivs:\t1\nSeccomp:\t0\n"))
    #expect(!Confinement.isConfined(status: ""))
  }
}
