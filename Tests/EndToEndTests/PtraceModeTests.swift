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

  /// Upstream's client sends the pid of an agent that it has started. That has run untraced.
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
}
