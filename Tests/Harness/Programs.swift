import Foundation
import Synchronization

/// The programs under test and the C programs of the tests, where every uid can execute them: a clone may lie in a
/// directory that an ordinary user cannot enter.
package enum Programs {
  package static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent().path
  package static let fixtures = root + "/Tests/fixtures"
  package static let names = ["agentsh", "agentshd", "agentsh-supervisor", "agentsh-launch"]

  /// `AGENTSH_BIN_DIR`, else the release build of this clone, copied once per test run.
  package static let directory: Result<String, HarnessError> = {
    let from = ProcessInfo.processInfo.environment["AGENTSH_BIN_DIR"] ?? root + "/.build/release"
    do {
      let to = try temporaryDirectory("agentsh-programs")
      for name in names {
        try FileManager.default.copyItem(atPath: from + "/" + name, toPath: to + "/" + name)
      }
      removeAtExit(to)
      return .success(to)
    } catch {
      return .failure(HarnessError("the programs are not in \(from) (Scripts/build): \(error)"))
    }
  }()

  package static func agentsh() throws -> String { try directory.get() + "/agentsh" }

  /// Tests/fixtures/NAME.c, compiled once per test run.
  package static func fixture(_ name: String) throws -> String {
    let to = try fixtureDirectory.get() + "/" + name
    guard !FileManager.default.fileExists(atPath: to) else { return to }
    // Two suites may want it at the same moment.
    let made = "\(to).\(UUID().uuidString)"
    let compiler = try Running(
      ["/usr/bin/gcc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", made, fixtures + "/" + name + ".c"],
      environment: ["PATH": "/usr/bin:/bin"], as: nil, input: nil, scratch: fixtureDirectory.get())
    let outcome = compiler.finish()
    guard outcome.succeeded else { throw HarnessError("gcc \(name).c: \(outcome)") }
    chmod(made, 0o755)
    guard rename(made, to) == 0 else { throw HarnessError("rename \(made): errno \(errno)") }
    return to
  }

  /// Runs a program as who runs the tests, with the environment of the test run.
  package static func run(_ words: [String], timeout: Duration = .seconds(300)) throws -> Outcome {
    var environment = ProcessInfo.processInfo.environment
    environment["AGENTSH_BIN_DIR"] = try directory.get()
    return try Running(words, environment: environment, as: nil, input: nil, scratch: fixtureDirectory.get())
      .finish(timeout: timeout)
  }

  /// What is fetched for the tests once and kept; everybody can read it.
  package static let cache: String = {
    let path = getuid() == 0 ? "/var/cache/agentsh-tests" : NSHomeDirectory() + "/.cache/agentsh-tests"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    chmod(path, 0o755)
    return path
  }()

  private static let fixtureDirectory: Result<String, HarnessError> = {
    do {
      let made = try temporaryDirectory("agentsh-fixtures")
      removeAtExit(made)
      return .success(made)
    } catch {
      return .failure(HarnessError("\(error)"))
    }
  }()

  /// Not /tmp: what lies there, many policies let everybody write.
  private static let base: String = {
    if getuid() == 0 { return "/srv" }
    let home = ProcessInfo.processInfo.environment["HOME"] ?? "/tmp"
    try? FileManager.default.createDirectory(atPath: home + "/.cache", withIntermediateDirectories: true)
    return home + "/.cache"
  }()

  static func temporaryDirectory(_ name: String) throws -> String {
    let made = "\(base)/\(name)-\(UUID().uuidString.prefix(6))"
    guard mkdir(made, 0o755) == 0 else { throw HarnessError("mkdir \(made): errno \(errno)") }
    chmod(made, 0o755)
    return made
  }

  private static func removeAtExit(_ path: String) {
    leftovers.withLock { $0.append(path) }
    _ = registered
  }
  private static let registered: Void = {
    atexit { leftovers.withLock { for path in $0 { try? FileManager.default.removeItem(atPath: path) } } }
  }()
  private static let leftovers = Mutex<[String]>([])
}
