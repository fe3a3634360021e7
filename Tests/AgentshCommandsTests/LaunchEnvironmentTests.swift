import AgentshAPI
import AgentshCommands
import Testing

@Suite struct LaunchEnvironmentTests {
  private func bytes(_ entries: [String]) -> [[UInt8]] { entries.map { Array($0.utf8) } }
  private func texts(_ environment: LaunchEnvironment) -> [String] {
    environment.entries.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func secretsGoAndTheRestStays() throws {
    let given = bytes(["PATH=/bin", "GITHUB_TOKEN=x", "LD_PRELOAD=/x.so", "TERM=xterm", "EMPTY="])
    let kept = try LaunchEnvironment(filtering: given, by: EnvironmentPolicy())
    #expect(texts(kept) == ["PATH=/bin", "TERM=xterm", "EMPTY="])
  }

  @Test func aPolicysListsAreApplied() throws {
    let given = bytes(["PATH=/bin", "OPENAI_API_KEY=k", "HOME=/h", "LC_ALL=C"])
    let policy = EnvironmentPolicy(allow: ["PATH", "OPENAI_API_KEY", "LC_*"], deny: ["LC_ALL"])
    #expect(texts(try LaunchEnvironment(filtering: given, by: policy)) == ["PATH=/bin", "OPENAI_API_KEY=k"])
  }

  @Test func overTheMaximumTheCommandDoesNotStart() {
    let given = bytes(["A=1", "B=2", "C=3"])
    for policy in [EnvironmentPolicy(maxKeys: 2), EnvironmentPolicy(maxBytes: 11)] {
      #expect(throws: CommandFailure.self) { try LaunchEnvironment(filtering: given, by: policy) }
    }
  }

  @Test func aBadPatternIsAnErrorNotAnOpenDoor() {
    #expect(throws: CommandFailure.self) {
      try LaunchEnvironment(filtering: [], by: EnvironmentPolicy(deny: ["[a"]))
    }
  }

  @Test func valuesKeepTheirBytesAndNamesThatAreNoTextGo() throws {
    let value: [UInt8] = Array("RAW=".utf8) + [0xFF, 0xFE]
    let name: [UInt8] = [0xFF, UInt8(ascii: "="), 0x31]
    let kept = try LaunchEnvironment(
      filtering: [value, name, Array("=x".utf8), Array("novalue".utf8)], by: .init())
    #expect(kept.entries == [value])
  }

  @Test func ofANameThatComesTwiceTheFirstCounts() throws {
    let kept = try LaunchEnvironment(filtering: bytes(["A=1", "A=2"]), by: .init())
    #expect(texts(kept) == ["A=1"])
  }

  @Test func whatIsSetReplacesWhatIsThere() throws {
    var environment = try LaunchEnvironment(filtering: bytes(["A=1", "B=2"]), by: .init())
    environment.set(["A": "9", "LD_LIBRARY_PATH": "/operator"])
    #expect(texts(environment) == ["B=2", "A=9", "LD_LIBRARY_PATH=/operator"])
    environment.remove(["A", "LD_LIBRARY", "C"])
    #expect(texts(environment) == ["B=2", "LD_LIBRARY_PATH=/operator"])
  }
}
