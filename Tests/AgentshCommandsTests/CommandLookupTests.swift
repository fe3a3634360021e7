import AgentshCommands
import Testing

@Suite struct CommandLookupTests {
  private let lookup = CommandLookup(searchPath: "/nonexistent:/usr/bin:/bin", directory: "/usr")

  @Test func aNameIsLookedForInPath() throws {
    #expect(try lookup.resolve("env") == "/usr/bin/env")
    #expect(try CommandLookup(searchPath: nil, directory: "/").resolve("sh").hasSuffix("/bin/sh"))
  }

  @Test func aPathIsBelowTheCurrentDirectory() throws {
    #expect(try lookup.resolve("bin/env") == "/usr/bin/env")
    #expect(try lookup.resolve("/usr/bin/env") == "/usr/bin/env")
    #expect(try CommandLookup(searchPath: "bin:", directory: "/usr").resolve("env") == "/usr/bin/env")
  }

  @Test func whatIsMissingIs127AndWhatCannotRunIs126() {
    for (command, code) in [
      ("no-such-command", 127), ("/no/such", 127), ("", 127), ("/usr/bin/env/x", 127), ("/etc/passwd", 126),
      ("/usr", 126), ("/dev/null", 126),
    ] as [(String, Int32)] {
      do {
        _ = try lookup.resolve(command)
        Issue.record("\(command) was found")
      } catch { #expect(error.code == code, "\(command)") }
    }
  }

  @Test func theCauseAndTheWayOutAreSaid() {
    do {
      _ = try lookup.resolve("no-such-command")
    } catch {
      #expect(error.description.contains("no-such-command: command not found"))
      #expect(error.description.contains("/nonexistent:/usr/bin:/bin"))
    }
  }
}
