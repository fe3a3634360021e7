import AgentshWire
import Testing

@Suite("Launch plan")
struct LaunchPlanTests {
  let plan = LaunchPlan(
    mediate: [.files, .processes], landlock: [.init(path: "/usr", access: 5)], allowDegraded: true,
    keepCapabilities: 0x0102)

  @Test("has the bytes that its comment says")
  func bytes() {
    let expected =
      "0100"  // version 1
      + "09000000"  // files 1, processes 8
      + "01"  // allowDegraded
      + "0201000000000000"  // keepCapabilities
      + "01000000"  // one grant
      + "04000000" + "2f757372"  // "/usr"
      + "0500000000000000"  // access
    #expect(plan.hex == expected)
  }

  @Test("comes back as it went")
  func roundTrip() throws {
    #expect(try LaunchPlan(hex: #require(plan.hex)) == plan)
  }

  @Test("cut anywhere, it is refused")
  func truncated() throws {
    let text = try #require(plan.hex)
    for length in 0..<text.utf8.count {
      #expect(throws: WireError.self) { try LaunchPlan(hex: String(text.prefix(length))) }
    }
  }

  /// Version, mediation, degraded, capabilities, number of grants, grants.
  static let good = "0100" + "09000000" + "01" + "0201000000000000" + "01000000" + grant
  static let grant = "04000000" + "2f757372" + "0500000000000000"

  @Test(
    "refuses what it does not understand",
    arguments: [
      ("0100" + "09", "0200" + "09"),  // version 2
      ("0100" + "0900", "0100" + "0920"),  // a group of calls nobody knows
      ("0000" + "01" + "02", "0000" + "02" + "02"),  // a boolean of 2
      ("0500000000000000", "050000000000000000"),  // one byte more
      ("0500000000000000", "05000000000000000"),  // odd
      ("0500000000000000", "05000000000000zz"),  // not hex
      ("2f757372", "2F757372"),  // upper case
      ("2f757372", "75757372"),  // relative
      ("2f757372", "2f750072"),  // NUL
      ("01000000" + grant, "02000000" + grant),  // a grant less than it says
      ("01000000" + grant, "ffffffff" + grant),  // far less
    ])
  func refused(part: String, wrong: String) throws {
    #expect(try LaunchPlan(hex: Self.good) == plan)
    let place = try #require(Self.good.firstRange(of: part))
    #expect(throws: WireError.self) { try LaunchPlan(hex: Self.good.replacingCharacters(place, wrong)) }
  }

  @Test("too long for one environment string, it has no hex")
  func tooLong() {
    var long = plan
    long.landlock = Array(repeating: .init(path: "/usr/share/something/quite/long", access: 5), count: 2000)
    #expect(long.hex == nil)
    #expect(throws: WireError.self) { try LaunchPlan(hex: String(repeating: "00", count: 100_000)) }
  }

  @Test("each failure of the launcher has its own status and sentence")
  func failures() {
    #expect(Set(LaunchFailure.allCases.map(\.sentence)).count == LaunchFailure.allCases.count)
  }
}

extension String {
  fileprivate func replacingCharacters(_ range: Range<Index>, _ text: String) -> String {
    String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
  }
}
