import AgentshServer
import Foundation
import Testing

@Suite struct DaemonLockTests {
  @Test func `of twenty that start at once, one gets the lock, and the others name it`() async throws {
    let path = "/tmp/agentsh-lock-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let results = await withTaskGroup(of: Result<DaemonLock, DaemonLock.Failure>.self) { group in
      for _ in 0..<20 {
        group.addTask {
          do throws(DaemonLock.Failure) { return .success(try DaemonLock(path)) } catch {
            return .failure(error)
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.filter { if case .success = $0 { true } else { false } }.count == 1)
    let error = #expect(throws: DaemonLock.Failure.self) { _ = try DaemonLock(path) }
    #expect(error?.description.contains("pid \(getpid())") == true)
    withExtendedLifetime(results) {}
  }

  @Test func `options that are not known are refused`() {
    #expect(throws: DaemonFailure.self) { try DaemonOptions(parsing: ["--verbose"]) }
    #expect(throws: DaemonFailure.self) { try DaemonOptions(parsing: ["--config"]) }
    #expect(throws: DaemonFailure.self) { try DaemonOptions(parsing: ["--system", "--on-demand"]) }
    #expect((try? DaemonOptions(parsing: ["--on-demand", "--config", "/x"]))?.config == "/x")
  }

  @Test func `a second daemon on the same directory ends with an error`() async throws {
    let daemon = try await TestDaemon()
    var options = DaemonOptions()
    options.home = daemon.scratch + "/home"
    let scratch = daemon.scratch
    #expect(await AgentshDaemon.run(options) { $0 == "XDG_RUNTIME_DIR" ? scratch + "/run" : nil } == 1)
    #expect(try await daemon.send("GET", "/health").status == 200)
    await daemon.stop()
  }
}
