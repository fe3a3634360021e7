import AgentshConfig
import Testing

@Suite struct LocationsTests {
  @Test func `the runtime directory of the session comes first, then tmp, then the home`() throws {
    let found = try Locations.candidates(uid: 1000, home: "/home/u", runtimeVariable: "/run/user/1000/")
    #expect(
      found.map(\.runtimeDirectory) == [
        "/run/user/1000/agentsh", "/tmp/agentsh-1000", "/home/u/.local/state/agentsh/run",
      ])
    let first = try #require(found.first)
    #expect(first.socket == "/run/user/1000/agentsh/agentsh.sock")
    #expect(first.supervisorSocket == "/run/user/1000/agentsh/supervisor.sock")
    #expect(first.lockFile == "/run/user/1000/agentsh/agentshd.lock")
    #expect(first.handoffDirectory == "/run/user/1000/agentsh/handoff")
    #expect(first.database == "/home/u/.local/state/agentsh/events.sqlite")
    #expect(first.eventLog == "/home/u/.local/state/agentsh/events.jsonl")
    #expect(first.spoolDirectory == "/home/u/.local/state/agentsh/spool")
    #expect(first.configFile == "/home/u/.config/agentsh/config.yaml")
    #expect(first.policyDirectories == ["/home/u/.config/agentsh/policies", "/etc/agentsh/policies"])
  }

  @Test(arguments: [nil, "", "run/user/1000"])
  func `without an absolute runtime variable tmp comes first`(variable: String?) throws {
    let found = try Locations.candidates(uid: 7, home: "/home/u", runtimeVariable: variable)
    #expect(found.map(\.runtimeDirectory) == ["/tmp/agentsh-7", "/home/u/.local/state/agentsh/run"])
  }

  @Test func `the system has its own places`() {
    #expect(Locations.system.socket == "/run/agentsh/agentsh.sock")
    #expect(Locations.system.database == "/var/lib/agentsh/events.sqlite")
    #expect(Locations.system.configFile == "/etc/agentsh/config.yaml")
    #expect(Locations.system.policyDirectories == ["/etc/agentsh/policies"])
  }

  @Test func `a socket path that the kernel would not take is an error with a way out`() throws {
    let long = "/run/" + String(repeating: "x", count: 90)
    let error = #expect(throws: LocationError.self) {
      try Locations.candidates(uid: 1, home: "/home/u", runtimeVariable: long)
    }
    #expect(error?.description.contains("107") == true)
    #expect(error?.description.contains("XDG_RUNTIME_DIR") == true)
    try Locations.checkSocketPath("/" + String(repeating: "y", count: 106))
    #expect(throws: LocationError.self) {
      try Locations.checkSocketPath("/" + String(repeating: "y", count: 107))
    }
  }

  @Test func `a long home only takes away the last resort`() throws {
    let home = "/home/" + String(repeating: "x", count: 90)
    let found = try Locations.candidates(uid: 1, home: home, runtimeVariable: nil)
    #expect(found.map(\.runtimeDirectory) == ["/tmp/agentsh-1"])
  }

  @Test func `a home that is not absolute is refused`() {
    #expect(throws: LocationError.notAbsolute(what: "home directory", "")) {
      try Locations.candidates(uid: 1, home: "", runtimeVariable: nil)
    }
  }
}
