import AgentshCommands
import Testing

@Suite struct WrapOptionsTests {
  /// Lines that both readers take, and what they mean is the same.
  @Test(arguments: [
    "-- true", "--quiet -- true", "--policy strict -- ls -la",
    "--policy ./p.yaml --root /w --quiet -- sh -c exit",
    "--policy strict --with ./p.yaml -- ls", "--session s1 --allow-degraded -- bash",
    "--keep-fd 5 --keep-fd 7 -- make", "--config /c.yaml -- true",
    "--socket /s --allow-unenforced -- true", "-- sh -- --quiet", "-- --policy x",
  ])
  func theQuickReaderAgreesWithArgumentParser(_ line: String) throws {
    let words = line.split(separator: " ").map(String.init)
    let quick = try #require(WrapOptions(quick: words))
    #expect(CommandLineMain.wrapOptions(words) == quick)
  }

  @Test(arguments: [
    "", "true", "--quiet true", "--", "--polcy x -- true", "--policy -- true",
    "--policy a --policy b -- true", "--with p.yaml -- true",
    "--keep-fd x -- true", "--session a/b -- true", "--session s --policy p -- true",
    "--session s --root / -- true",
    "--socket /s --config /c -- true", "--help", "--policy=x -- true", "-h -- true",
  ])
  func whatTheQuickReaderDoesNotKnowIsLeftToArgumentParser(_ line: String) {
    #expect(WrapOptions(quick: line.split(separator: " ").map(String.init)) == nil)
  }

  @Test(arguments: [
    "", "true", "--", "--polcy x -- true", "--keep-fd x -- true", "--session a/b -- true",
    "--session s --policy p -- true", "--session s --root / -- true",
    "--session s --allow-unenforced -- true", "--session s --policy a --with p.yaml -- true",
    "--with p.yaml -- true", "--policy q.yaml --with p.yaml -- true",
    "--socket /s --config /c -- true",
  ])
  func wrongLinesAreRefused(_ line: String) {
    #expect(CommandLineMain.wrapOptions(line.split(separator: " ").map(String.init)) == nil)
  }

  @Test func spellingsWithAnEqualsSignMeanTheSame() {
    #expect(CommandLineMain.wrapOptions(["--policy=x", "--", "a"])?.policy.name == "x")
  }

  @Test func aValueWithASlashOrAnEndingIsAFile() {
    #expect(PolicySelection.isFile("./strict"))
    #expect(PolicySelection.isFile("p.yaml"))
    #expect(PolicySelection.isFile("p.yml"))
    #expect(!PolicySelection.isFile("agent-default"))
  }

  @Test func everyCommandHasHelpWorthReading() {
    #expect(CommandLineMain.paths.count >= 20)
    for path in CommandLineMain.paths {
      let help = CommandLineMain.help(path)
      #expect(help.contains("OVERVIEW:"), "\(path)")
      #expect(help.contains("USAGE: agentsh"), "\(path)")
    }
    let wrap = CommandLineMain.help(["wrap"])
    for part in ["agentsh wrap [options] -- COMMAND", "125", "126", "127", "--keep-fd", "Examples:"] {
      #expect(wrap.contains(part), "\(part)")
    }
  }
}
