import AgentshPolicy
import AgentshWire
import CLinux
import Foundation
import Harness
import Testing

/// Real programs under a real filter. The denied program is `forbidden`, which prints `reached`.
@Suite("exec", .serialized)
final class ExecTests {
  let execs: String
  let forbidden: String
  let folder: String

  init() throws {
    execs = try Programs.fixture("execs")
    forbidden = try Programs.fixture("forbidden")
    folder = "/tmp/exec-tests-\(UUID().uuidString.prefix(8))"
    mkdir(folder, 0o755)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private func script(_ name: String, _ text: String) throws -> String {
    let path = "\(folder)/\(name)"
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    chmod(path, 0o755)
    return path
  }

  private func run(_ words: [String], _ rules: PolicyRules) throws -> Caged { try Caged(words, rules) }
  private var denying: PolicyRules { .denying([forbidden]) }

  @Test("an allowed program runs, and is recorded with name, arguments and depth")
  func allowed() throws {
    let run = try run(["/bin/sh", "-c", "/bin/echo one 'two words'"], denying)
    #expect(run.status == 0)
    #expect(run.output == "one two words\n")
    let records = run.records.filter { $0.kind == .exec }
    #expect(records.count == 2)
    #expect(records.first?.depth == 0)
    #expect(records.last?.argv == ["/bin/echo", "one", "two words"])
    #expect(records.last?.path == "/usr/bin/echo")
    #expect(records.last?.rawPath == "/bin/echo")
    #expect(records.last?.depth == 1)
    #expect(records.allSatisfy { $0.effect == .allowed && $0.errno == 0 })
  }

  @Test(
    "a denied program gets EACCES however it is started",
    arguments: ["execve", "vfork", "spawn", "thread", "fd"])
  func denied(way: String) throws {
    let bare = try Bare.output([execs, way, forbidden])
    #expect(bare.contains("reached"))
    let run = try run([execs, way, forbidden], denying)
    #expect(!run.output.contains("reached"))
    #expect(run.output.contains(way == "vfork" ? "exit 13" : "EACCES"))
    let blocked = run.records.filter { $0.effect == .blocked }
    #expect(blocked.count == 1)
    #expect(blocked.first?.path == forbidden)
    #expect(blocked.first?.rule == 0)
  }

  @Test(
    "each way works where it is allowed", arguments: ["execve", "vfork", "spawn", "thread", "fd", "memfd"])
  func works(way: String) throws {
    for rules in [PolicyRules.denying(["nothing"]), .allowingAll] {
      let run = try run([execs, way, "/bin/true"], rules)
      #expect(run.output == "exit 0\n")
    }
  }

  @Test("a timer that fires every millisecond disturbs no exec")
  func timers() throws {
    for rules in [PolicyRules.denying(["nothing"]), .allowingAll] {
      #expect(try run([execs, "signals", "/bin/true"], rules).output == "exit 0\n")
    }
  }

  @Test("links, hard links of the name's directory and relative names lead to the same decision")
  func names() throws {
    symlink(forbidden, "\(folder)/link")
    symlink("/", "\(folder)/root")
    for name in [
      "\(folder)/link", "\(folder)/root\(forbidden)", "\(folder)/../..\(forbidden)",
      "/proc/self/root\(forbidden)",
    ] {
      let run = try run([execs, "execve", name], denying)
      #expect(run.output == "EACCES\n", "\(name)")
    }
    let run = try run([execs, "nofollow", "\(folder)/link"], denying)
    #expect(run.output == "ELOOP\n")
  }

  @Test("an interpreter is decided too, also behind another script")
  func interpreters() throws {
    let first = try script("first", "#!\(forbidden)  an argument\n")
    let second = try script("second", "#! \(first)")
    let viaEnv = try script("env", "#!/usr/bin/env \(forbidden)\n")
    #expect(try Bare.output([execs, "execve", second]).contains("reached"))
    for script in [first, second, viaEnv] {
      let run = try run([execs, "execve", script], denying)
      #expect(run.output == "EACCES\n", "\(script)")
    }
    let plain = try script("plain", "#!/bin/sh -e\necho $0 $1\n")
    let outer = try script("outer", "#!\(plain) x\n")
    #expect(try run([execs, "execve", plain, "word"], denying).output == "\(plain) word\nexit 0\n")
    #expect(try run([execs, "execve", outer, "word"], denying).output == "\(plain) x\nexit 0\n")
  }

  @Test("a default that denies denies interpreters that nobody allowed")
  func defaultDeny() throws {
    let script = try script("allowed-name", "#!/bin/sh\necho ran\n")
    let some = try run([execs, "execve", script], .allowing([execs, "allowed-name"]))
    #expect(some.output == "EACCES\n")
    let all = try run([execs, "execve", script], .allowing([execs, "allowed-name", "sh"]))
    #expect(all.output == "ran\nexit 0\n")
  }

  @Test("a link that the tree could make lends no allowed name")
  func borrowedName() throws {
    symlink("/bin/true", "\(folder)/permitted")
    var rules = PolicyRules.allowing([execs, "permitted"])
    // The policy itself closes the folder: the link was there before and stays what it is.
    #expect(try run([execs, "execve", "\(folder)/permitted"], rules).output == "exit 0\n")
    rules.fileRules = [FileRule(name: "folder", paths: ["\(folder)/**"], decision: .allow)]
    #expect(try run([execs, "execve", "\(folder)/permitted"], rules).output == "EACCES\n")
  }

  @Test("the loader's file and a transparent command's payload are decided")
  func payloads() throws {
    let loader = "/lib64/ld-linux-x86-64.so.2"
    #expect(try Bare.output([execs, "execve", loader, forbidden]).contains("reached"))
    for words in [
      [loader, forbidden], [loader, "--library-path", "/lib", forbidden],
      ["/usr/bin/env", "A=b", "forbidden"],
    ] {
      let run = try run([execs, "execve"] + words, .denying(["forbidden"]))
      #expect(run.output == "EACCES\n", "\(words)")
    }
  }

  @Test("arguments decide, all of them")
  func arguments() throws {
    let rules = PolicyRules.denying(["echo"], arguments: ["secret$"])
    #expect(try run([execs, "execve", "/bin/echo", "fine"], rules).output == "fine\nexit 0\n")
    #expect(try run([execs, "execve", "/bin/echo", "a", "secret"], rules).output == "EACCES\n")
    let many = (0..<3000).map { "argument-number-\($0)" }
    #expect(try run([execs, "execve", "/bin/echo"] + many + ["secret"], rules).output == "EACCES\n")
    let long = String(repeating: "x", count: 100_000)
    #expect(try run([execs, "execve", "/bin/echo", long], rules).output == "\(long)\nexit 0\n")
  }

  @Test("an exec that fails leaves the caller running, untraced, with its errno")
  func failing() throws {
    let garbage = try script("garbage", "no program\n")
    let closed = try script("closed", "#!/bin/sh\n")
    chmod(closed, 0o644)
    let lost = try script("lost", "#!/does/not/exist\n")
    for rules in [PolicyRules.denying(["nothing"]), .allowingAll] {
      for (path, errno) in [
        (garbage, "ENOEXEC"), (closed, "EACCES"), (lost, "ENOENT"), ("\(folder)/none", "ENOENT"),
        (folder, "EACCES"),
        ("/etc/hostname/x", "ENOTDIR"),
      ] {
        let run = try run([execs, "twice", path], rules)
        #expect(run.output == "\(errno) tracer 0 ticks 1\n", "\(path)")
        #expect(run.status == 0)
      }
    }
  }

  @Test(
    "what is rewritten while it is decided never runs",
    arguments: ["exec-thread", "exec-vm", "exec-shared", "exec-argv"])
  func races(way: String) throws {
    let race = try Programs.fixture("race")
    let mark = "\(folder)/mark"
    let harmless = "\(folder)/harmless"
    let denied = "\(folder)/mischief"
    for path in [harmless, denied] { try? FileManager.default.removeItem(atPath: path) }
    try FileManager.default.copyItem(atPath: "/bin/true", toPath: harmless)
    try FileManager.default.copyItem(atPath: forbidden, toPath: denied)
    let environment = ["AGENTSH_MARK": mark, "AGENTSH_RACER": denied]
    let words = way == "exec-argv" ? ["status", "mischi"] : [harmless, denied]
    var rules = PolicyRules.denying([denied])
    if way == "exec-argv" {
      var told = CommandRule(name: "told", commands: [denied], decision: .allow)
      told.argumentPatterns = ["^status$"]
      rules.commandRules.insert(told, at: 0)
    }
    // Bare: the mark is left at once.
    _ = try Bare.output([race, way] + words + ["1"], environment: environment)
    #expect(access(mark, F_OK) == 0)
    unlink(mark)
    // A difference ends the session: again, until the time is over.
    let end = Date(timeIntervalSinceNow: 3)
    var sessions = 0
    var ended = 0
    repeat {
      let run = try Caged([race, way] + words + ["1"], rules, environment: environment)
      sessions += 1
      if run.status == 128 + SIGKILL { ended += 1 }
      #expect(access(mark, F_OK) != 0)
    } while Date() < end
    #expect(sessions > 0)
    print("\(way): \(sessions) sessions, \(ended) ended by a difference")
  }
}

/// What a program prints when nobody is between it and the kernel.
enum Bare {
  static func output(_ words: [String], environment: [String: String] = [:]) throws -> String {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: words[0])
    process.arguments = Array(words.dropFirst())
    process.environment = ["PATH": "/usr/bin:/bin"].merging(environment) { _, new in new }
    process.standardOutput = pipe
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }
}
