import AgentshConfig
import Testing

@Suite struct DurationTests {
  @Test(arguments: [
    ("5m", Duration.seconds(300)), ("1h30m", .seconds(5400)), ("250ms", .milliseconds(250)),
    ("2d", .seconds(172_800)), ("1w", .seconds(604_800)), ("1.5h", .seconds(5400)), ("0", .zero),
    ("0s", .zero),
    ("1m0.5s", .milliseconds(60_500)),
  ])
  func `durations are read as Go writes them, and days and weeks`(text: String, value: Duration) {
    #expect(Duration(parsing: text) == value)
  }

  @Test(arguments: ["", "5", "m", "5 m", "-5m", "5x", "1h30", "..5s", "1e3s", "99999999w", "infs"])
  func `anything else is no duration`(text: String) {
    #expect(Duration(parsing: text) == nil)
  }

  @Test func `a part of a second counts as a second`() {
    #expect(Duration.milliseconds(250).secondsRoundedUp == 1)
    #expect(Duration.seconds(2).secondsRoundedUp == 2)
  }
}
