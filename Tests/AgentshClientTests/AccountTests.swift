import AgentshClient
import Testing

@Suite struct AccountTests {
  private let passwd = Array(
    """
    root:x:0:0:root:/root:/bin/bash
    broken
    1000:x:7:1000::/wrong:/bin/sh
    user:x:1000:1000:A User,,,:/home/user:/bin/bash
    second:x:1000:1000::/home/second:/bin/bash
    relative:x:1001:1001::home:/bin/sh

    """.utf8)

  @Test func homeIsTheSixthFieldOfTheFirstLineWithTheUid() {
    #expect(Account.home(of: 0, in: passwd) == "/root")
    #expect(Account.home(of: 1000, in: passwd) == "/home/user")
  }

  @Test func aHomeThatIsNotAbsoluteCountsAsNone() {
    #expect(Account.home(of: 1001, in: passwd) == nil)
    #expect(Account.home(of: 4242, in: passwd) == nil)
  }

  @Test func programsAreBesideOursOrInLibexec() {
    #expect(
      InstalledPrograms(executable: "/usr/local/bin/agentsh").directories == [
        "/usr/local/bin", "/usr/local/libexec/agentsh",
      ])
    #expect(InstalledPrograms(executable: "/bin/agentsh").directories == ["/bin", "/libexec/agentsh"])
    #expect(throws: ClientError.self) {
      try InstalledPrograms(executable: "/nonexistent/agentsh").path(of: "agentshd")
    }
  }
}
