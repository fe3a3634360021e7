import Foundation
import Harness
import Testing

/// `enforcement: ptrace` and `auto`. That all else holds in this mode, too, is shown by the other suites, which Scripts/test
/// runs once more with AGENTSH_ENFORCEMENT=ptrace.
@Suite(.serialized) struct PtraceModeTests {
  /// What the container around us refuses; nil: nothing.
  @Test(arguments: [nil, "listener", "seccomp/1=0x28:1", "ioctl/1=0xc0502100:1"], Caller.allCases)
  func `auto traces where calls cannot be notified, and nowhere else`(refused: String?, caller: Caller) throws
  {
    let place = try Place(as: caller)
    try place.configure("enforcement: auto\n")
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    let secret = try place.write("secret", to: place.outside + "/s")
    let policy = try place.policy(
      """
      file_rules:
        - {name: no-secret, paths: ["\(place.outside)/**"], operations: ["*"], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    let script = "cat \(secret)"
    let bare = try place.sh(script)
    #expect(bare.output == "secret", "\(bare)")
    let wrap = try place.wrapping(
      ["sh", "-c", "echo ran; " + script], policy: policy, options: ["--quiet"])
    let outcome = try place.run((refused.map { [refuse, $0, "--"] } ?? []) + wrap)
    #expect(outcome.output == "ran\n", "\(outcome)")
    #expect(outcome.errors.contains("\(secret): Permission denied"), "\(outcome)")
    let modes = try place.events(["--type", "wrap_init"]).map {
      ($0["fields"] as? [String: Any])?["enforcement"] as? String
    }
    #expect(modes == [refused == nil ? "notify" : "ptrace"])
  }

  @Test(
    arguments: [
      ("seccomp:1", "seccomp: EPERM"), ("ptrace:1", "ptrace: EPERM"), ("pidfd_getfd:1", "pidfd_getfd: EPERM"),
      ("process_vm_readv:1", "memory could not be read (EPERM"),
      ("landlock_create_ruleset:38", "no Landlock"),
    ], Caller.allCases)
  func `what tracing needs and is missing is named, and nothing runs`(lack: (String, String), caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    try place.configure("enforcement: ptrace\n")
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    let wrap = try place.wrapping(["touch", "ran"], policy: nil)
    let outcome = try place.run([refuse, lack.0, "--"] + wrap, timeout: .seconds(20))
    #expect(outcome.status == 125 && outcome.errors.contains(lack.1), "\(outcome)")
    #expect(!place.exists(place.workspace + "/ran"))
  }

  /// Descriptors reach a traced process over a socket of its own, which a child of it has as well.
  @Test(arguments: Caller.allCases) func `a child takes nothing that is given to its parent`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    try place.configure("enforcement: ptrace\n")
    let steal = try place.install("steal")
    func counts(_ outcome: Outcome) throws -> [Int] {
      try #require(outcome.succeeded, "\(outcome)")
      return outcome.trimmed.split(separator: " ").compactMap { Int($0) }
    }
    let thief = try counts(place.run([steal, "/etc/hostname", "2", "planted"]))
    #expect(thief.count == 2 && thief[1] > 0, "the thief takes nothing: \(thief)")
    let inside = try counts(
      place.wrap([steal, "/etc/hostname", "3"], policy: place.allowAll, timeout: .seconds(30)))
    #expect(inside.count == 2 && inside[0] > 100 && inside[1] == 0, "\(inside)")
  }

  /// Told of ptrace mode, upstream's client starts the agent and sends its pid. That has run untraced; so it is told of the
  /// launcher alone.
  @Test func `a process that runs already is not taken over, and a launcher is`() throws {
    let machine = try Machine(config: "enforcement: ptrace\n")
    try machine.startDaemon()
    for form in ["old", "current", "token"] {
      let said = try machine.launch(
        ["/bin/echo", "served"], as: machine.alice,
        options: ["--before", "half,nofd,twofds,wrongfd,ptrace", "--form", form])
      #expect((said["before"] as? [Any])?.map { $0 as? Int } == [0, 0, 0, 0, 0], "\(said)")
      #expect(said["output"] as? String == "served\n", "\(said)")
      let session = try #require(said["session"] as? String)
      let events = try machine.api(
        "GET", "/api/v1/sessions/\(session)/history?type=handoff_refused", as: machine.alice)
      let causes = (events.body as? [[String: Any]] ?? []).map {
        ($0["fields"] as? [String: Any])?["cause"] as? String ?? ""
      }
      #expect(causes.filter { $0.contains("it has run untraced") }.count == 1, "\(causes)")
    }
  }

  private static let restarting = "enforcement: ptrace\nrunning_agents: restart\n"

  private static let secrets = """
    version: 1
    name: allow-all-record
    file_rules:
      - {name: no-secret, paths: ["/**/the-secret"], operations: ["*"], decision: deny}
      - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
    command_rules: [{name: all, commands: ["*"], decision: allow}]
    """

  /// Whatever it is at: what it does from then on is decided, under no_new_privs, and nothing that it had started is left.
  @Test func `an agent that runs already begins again where the operator allows it`() throws {
    let machine = try Machine(policies: ["secrets": Self.secrets], config: Self.restarting)
    let secret = machine.directory + "/the-secret"
    try Data("secret".utf8).write(to: URL(filePath: secret))
    let agent = machine.directory + "/restarted.py"
    try FileManager.default.copyItem(atPath: Programs.fixtures + "/restarted.py", toPath: agent)
    try machine.startDaemon()
    for user in [machine.root, machine.alice] {
      for how in ["busy", "reading", "sleeping", "waiting", "threads", "children", "stopped"] {
        let home = user.uid == 0 ? machine.directory : user.home
        let said = try machine.speak(
          [
            "launch", "--policy", "secrets", "--wait", "0.4", "--", "/usr/bin/python3", agent, how,
            "\(home)/\(how)", secret,
          ],
          as: user)
        #expect(said["accepted"] as? Int == 1 && said["exit"] as? Int == 7, "\(how): \(said)")
        #expect(
          said["output"] as? String
            == "secret\nPermission denied same 1 1 0000000000000000 \(home)\n", "\(how): \(said)")
        let session = try #require(said["session"] as? String)
        let events = try machine.api(
          "GET", "/api/v1/sessions/\(session)/history?type=file_open&decision=deny", as: user)
        #expect((events.body as? [Any])?.count == 1, "\(how): \(events)")
      }
    }
  }

  /// Somebody who shares the agent's memory, and is not found below it, changes what it is made to execute.
  @Test(arguments: ["path", "plan"]) func `what an agent begins again as cannot be changed meanwhile`(
    what: String
  ) throws {
    let machine = try Machine(config: Self.restarting)
    try machine.startDaemon()
    let rewrite = machine.directory + "/rewrite"
    try FileManager.default.copyItem(atPath: Programs.fixture("rewrite"), toPath: rewrite)
    let launcher = try Programs.directory.get() + "/agentsh-launch"
    for user in [machine.root, machine.alice] {
      let home = user.uid == 0 ? machine.directory : user.home
      let evil = home + "/e"
      try Data("#!/bin/sh\ntouch \(home)/reached\n".utf8).write(to: URL(filePath: evil))
      chmod(evil, 0o755)
      #expect(try machine.run([evil], as: user).succeeded && unlink(home + "/reached") == 0)
      let padding = String(repeating: "/", count: max(0, launcher.utf8.count - evil.utf8.count))
      let words =
        what == "path" ? [launcher, padding + evil] : ["AGENTSH_LAUNCH_PLAN=0", "AGENTSH_LAUNCH_PLAN=1"]
      var answers: [Int?] = []
      for _ in 0..<4 {
        let said = try machine.launch(
          [rewrite] + words, as: user, options: ["--times", "12", "--wait", "0.03"])
        answers += (said["accepted"] as? [Any] ?? []).map { $0 as? Int }
      }
      #expect(answers.count == 48 && answers.allSatisfy { $0 == 0 || $0 == 1 }, "\(answers)")
      // Else nobody was quick enough, and nothing was shown.
      #expect(answers.contains(0), "\(answers)")
      #expect(access(home + "/reached", F_OK) != 0)
    }
  }

  @Test func `only an agent of the caller's that can be held begins again`() throws {
    let machine = try Machine(config: Self.restarting)
    try machine.startDaemon()
    let strangers = [
      try machine.start(["/bin/sleep", "60"], as: machine.bob),
      try machine.start(["/bin/sleep", "60"], as: machine.alice),
    ]
    for stranger in strangers {
      let said = try machine.launch(
        ["/bin/sleep", "0"], as: machine.alice, options: ["--pid", "\(stranger.pid)"])
      #expect(said["accepted"] as? Int == 0, "\(said)")
      #expect(!stranger.hasEnded)
    }
    // Whose memory is nobody's to read is not held, and does not go on either.
    let hidden = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); time.sleep(60)"
    let said = try machine.launch(
      ["/usr/bin/python3", "-c", hidden], as: machine.alice, options: ["--wait", "0.3"])
    #expect(said["accepted"] as? Int == 0 && said["exit"] as? Int == -9, "\(said)")
    let session = try #require(said["session"] as? String)
    let refused = try machine.api(
      "GET", "/api/v1/sessions/\(session)/history?type=supervisor_failed", as: machine.alice)
    #expect("\(refused.body)".contains("could not be started again under supervision"), "\(refused)")
  }
}
