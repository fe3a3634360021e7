import Foundation
import Harness
import Testing

/// Other people's test suites give the same answers inside, case by case: the part of Scripts/compat that takes less
/// than a minute, as an ordinary user. All of it takes most of an hour and is run by hand (SPECIFICATION.md).
@Suite(.serialized) struct CompatibilityTests {
  @Test func `CPython's tests and stress-ng find no difference`() throws {
    let outcome = try Programs.run([Programs.root + "/Scripts/compat", "--quick"], timeout: .seconds(240))
    #expect(outcome.succeeded, "\(outcome)")
    // A suite that ran nothing finds no difference either.
    for (suite, least) in [("cpython", 200), ("stress-ng", 9)] {
      let row = outcome.output.split(separator: "\n").first { $0.hasPrefix(suite) }
      let fields = row?.split(separator: " ") ?? []
      try #require(fields.count == 7, "\(outcome)")
      #expect((Int(fields[2]) ?? 0) >= least, "\(outcome)")
      #expect(fields[3] == "0", "bare, these pass: \(outcome)")
    }
  }

  @Test func `a suite that the policy hinders is reported, and is no success`() throws {
    let place = try Place(as: .user)
    let denying = try place.policy(
      """
      file_rules: [{name: files, paths: ["/", "/**"], operations: [read, execute], decision: allow}]
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    let outcome = try Programs.run(
      [Programs.root + "/Scripts/compat", "--quick", "--policy", denying, "--only", "rename", "stress-ng"])
    #expect(outcome.status == 1, "\(outcome)")
    #expect(
      outcome.output.contains("NOT KNOWN: stress-ng | user | rename | ok bare, failed inside"), "\(outcome)")
  }
}
