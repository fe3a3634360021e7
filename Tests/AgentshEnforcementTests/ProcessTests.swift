import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import Harness
import LinuxSystem
import Testing

@Suite("calls that name a process", .serialized)
struct ProcessTests {
  @Test(
    "the supervisor's limits and priority are out of reach, and the attempt is recorded",
    arguments: ["limits", "priority"])
  func supervisor(way: String) throws {
    let execs = try Programs.fixture("execs")
    let run = try Caged([execs, way, "\(getpid())"], .allowingAll)
    #expect(run.output == "EPERM\n")
    let blocked = run.records.filter { $0.effect == .blocked }
    #expect(blocked.count == 1)
    #expect(blocked.first?.kind == .process)
    #expect(blocked.first?.errno == UInt16(EPERM))
  }

  @Test("a process outside the tree is out of reach")
  func outside() throws {
    let execs = try Programs.fixture("execs")
    #expect(try Caged([execs, "priority", "1"], .allowingAll).output == "EPERM\n")
    #expect(try Caged([execs, "limits", "1"], .allowingAll).output == "EPERM\n")
  }

  @Test("oneself, a child and a parent inside are within reach")
  func inside() throws {
    let execs = try Programs.fixture("execs")
    let script = "\(execs) priority 0; sleep 1 & \(execs) priority $!; \(execs) limits $$; kill $!"
    let run = try Caged(["/bin/sh", "-c", script], .allowingAll)
    #expect(run.output == "done\ndone\ndone\n")
    #expect(run.records.allSatisfy { $0.effect == .allowed })
  }

  @Test("identities from the kernel's structure equal those of /proc")
  func identity() throws {
    let own = try #require(ThreadIdentity(of: currentThread()))
    #expect(own.process == getpid())
    #expect(own.parent == getppid())
    #expect(ThreadIdentity(of: 0x7fff_fff0) == nil)
  }
}
