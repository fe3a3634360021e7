import Foundation
import Harness
import Testing

/// `policies.user_files: combine`: a user's own policy beside the operator's, on a daemon for all users.
@Suite(.serialized) struct CombinedTests {
  private static func policy(
    _ name: String, denied: (String, String, Int, String), allowed: (String, String)? = nil
  )
    -> String
  {
    let (letter, command, last, signal) = denied
    let more =
      allowed.map {
        (
          "  - {name: open-it, paths: ['**/\($0.0)'], operations: ['*'], decision: allow}\n",
          "  - {name: run-it, commands: [\($0.1)], decision: allow}\n"
        )
      } ?? ("", "")
    return """
      version: 1
      name: \(name)
      file_rules:
      \(more.0)  - {name: no-\(letter), paths: ['**/\(letter)'], operations: [read, write], decision: deny}
        - {name: files, paths: ['/', '/**'], operations: ['*'], decision: allow}
      command_rules:
      \(more.1)  - {name: no-\(command), commands: [\(command)], decision: deny, message: not \(command)}
        - {name: commands, commands: ['*'], decision: allow}
      network_rules:
        - {name: no-\(last), cidrs: [127.0.0.\(last)/32], decision: deny}
        - {name: hosts, domains: ['*'], decision: allow}
      unix_socket_rules:
        - {name: no-sock, paths: ['**/\(letter).sock'], operations: [connect], decision: deny}
        - {name: sockets, paths: ['**'], decision: allow}
      signal_rules:
        - {name: no-signal, signals: [\(signal)], target: {type: children}, decision: deny}
        - {name: signals, signals: ['@all'], target: {type: session}, decision: allow}
      env_policy:
        deny: [NAME_\(letter.uppercased())]

      """
  }

  private static let operators = policy("basic", denied: ("x", "id", 2, "SIGUSR1"))
  private static let own = policy("own", denied: ("y", "nproc", 3, "SIGUSR2"), allowed: ("x", "id"))
  private static let config = """
    policies:
      default: basic
      allowed: [basic]
      users: {alice: [open]}
      user_files: combine

    """

  private struct Place {
    let machine: Machine
    let agentsh: String
    let script: String

    init() throws {
      machine = try Machine(policies: ["basic": CombinedTests.operators], config: CombinedTests.config)
      agentsh = try Programs.agentsh()
      script = machine.directory + "/narrowed.py"
      try FileManager.default.copyItem(atPath: Programs.fixtures + "/narrowed.py", toPath: script)
      for name in ["x", "y", "z"] { try write(name, name) }
      try write("own.yaml", CombinedTests.own)
      try machine.startDaemon()
    }

    func write(_ name: String, _ text: String, uid: UInt32? = nil) throws {
      let path = machine.alice.home + "/" + name
      try Data(text.utf8).write(to: URL(filePath: path))
      chown(path, uid ?? machine.alice.uid, uid ?? machine.alice.uid)
    }

    /// The script's lines, by what was tried.
    func tried(_ before: [String]) throws -> [String: String] {
      let names = ["NAME_X=1", "NAME_Y=1", "NAME_Z=1"]
      let words = ["/usr/bin/env"] + names + before + ["/usr/bin/python3", script]
      let outcome = try machine.run(words, as: machine.alice)
      guard outcome.succeeded else { throw HarnessError("\(outcome)") }
      let lines = outcome.output.split(separator: "\n").map { $0.split(separator: " ") }
      return Dictionary(
        uniqueKeysWithValues: lines.map { ($0.dropLast().joined(separator: " "), String($0.last ?? "")) })
    }

    func wrap(_ options: [String], _ command: [String] = ["/usr/bin/true"]) throws -> Outcome {
      try machine.run([agentsh, "wrap"] + options + ["--"] + command, as: machine.alice)
    }

    func make(_ options: [String], as user: Machine.User? = nil) throws -> Outcome {
      try machine.run([agentsh, "session", "create"] + options, as: user ?? machine.alice)
    }

    /// Path or remote address, and rule, of what was denied in a session.
    func denials(_ session: String) throws -> Set<String> {
      let events = try machine.api("GET", "/api/v1/sessions/\(session)/history?limit=5000", as: machine.alice)
        .body
      var result: Set<String> = []
      for event in events as? [[String: Any]] ?? [] {
        guard let policy = event["policy"] as? [String: Any],
          policy["effective_decision"] as? String == "deny",
          let rule = policy["rule"] as? String
        else { continue }
        let remote = (event["remote"] as? String)?.split(separator: ":").first.map(String.init)
        let object = remote ?? event["path"] as? String ?? ""
        result.insert("\(object.split(separator: "/").last ?? "") \(rule)")
      }
      return result
    }
  }

  @Test func `what either policy denies is denied, and the event names whose rule it was`() throws {
    let place = try Place()
    let kinds = ["read", "link", "exec", "connect", "unix", "signal", "variable"]
    // Without us all of it can be done; and under a policy alone what that one does not speak of.
    let bare = try place.tried([])
    #expect(bare.values.allSatisfy { $0 == "done" } && bare.count == 27, "\(bare)")
    for name in ["x", "y", "z"] { try place.write(name, name) }
    let alone = try place.tried([place.agentsh, "wrap", "--policy", "basic", "--"])
    for kind in kinds {
      #expect(alone["\(kind) x"] != "done" && alone["\(kind) y"] == "done", "\(kind): \(alone)")
    }
    for name in ["x", "y", "z"] { try place.write(name, name) }

    #expect(try place.make(["--id", "both", "--policy", "own.yaml"]).succeeded)
    let both = try place.tried([place.agentsh, "wrap", "--session", "both", "--"])
    for kind in kinds {
      #expect(both["\(kind) x"] != "done" && both["\(kind) y"] != "done", "\(kind): \(both)")
      #expect(both["\(kind) z"] == "done", "\(kind): \(both)")
    }
    // Neither out of its own rule, nor to where the other's rule denies it.
    for move in ["x moved", "y moved", "x y", "y x"] {
      #expect(both["rename \(move)"] == "EACCES", "\(move)")
    }
    #expect(both["rename z moved"] == "done")
    var denied: Set<String> = []
    let wanted: Set<String> = [
      "x no-x", "y user:no-y", "id no-id", "nproc user:no-nproc", "127.0.0.2 no-2", "127.0.0.3 user:no-3",
      "x.sock no-sock", "y.sock user:no-sock",
    ]
    #expect(
      try eventually {
        denied = try place.denials("both")
        return denied.isSuperset(of: wanted)
      }, "\(wanted.subtracting(denied)) of \(denied)")
    #expect(
      denied.contains { $0.hasSuffix(" user:no-signal") } && denied.contains { $0.hasSuffix(" no-signal") })
    let shown =
      try place.machine.api("GET", "/api/v1/sessions/both", as: place.machine.alice).body as? [String: Any]
    #expect(shown?["policy"] as? String == "basic + own")
  }

  @Test func `a policy of few rules leaves what it does not name to its own defaults`() throws {
    let place = try Place()
    try place.write(
      "few.yaml", "version: 1\nname: few\nfile_rules: [{name: y, paths: ['**/y'], decision: deny}]\n")
    let refused = try place.wrap(["--policy", "few.yaml"])
    #expect(refused.status == 126 && refused.errors.contains("user:default-deny-commands"), "\(refused)")
    #expect(try place.make(["--id", "few", "--policy", "few.yaml"]).succeeded)
    let question = #"{"session_id":"few","operation":"net_connect","path":"127.0.0.4:80"}"#
    let answer =
      try place.machine.api("POST", "/api/v1/policy/test", question, as: place.machine.alice).body
      as? [String: Any]
    #expect(answer?["rule"] as? String == "user:default-deny-network", "\(answer ?? [:])")
  }

  @Test func `a policy by name that one may have is narrowed by a file, and no other`() throws {
    let place = try Place()
    let shown = try place.wrap(["--policy", "open", "--with", "own.yaml"], ["/usr/bin/cat", "x"])
    #expect(shown.succeeded && shown.output == "x", "\(shown)")
    #expect(try !place.wrap(["--policy", "open", "--with", "own.yaml"], ["/usr/bin/cat", "y"]).succeeded)
    let file = place.machine.alice.home + "/own.yaml"
    let others = try place.make(["--policy", "open", "--with", file], as: place.machine.bob)
    #expect(
      others.status == 1 && others.errors.contains("does not allow you the policy \"open\""), "\(others)")
    // Root, too, narrows: it has the policy directory to say something else.
    #expect(try place.make(["--id", "roots", "--policy", file], as: place.machine.root).succeeded)
    let roots =
      try place.machine.api("GET", "/api/v1/sessions/roots", as: place.machine.root).body as? [String: Any]
    #expect(roots?["policy"] as? String == "basic + own")
    let alone = try place.wrap(["--with", "own.yaml"])
    #expect(alone.status != 0 && alone.errors.contains("--policy NAME"), "\(alone)")
  }

  @Test func `a file that is wrong, missing, another's or cannot be combined starts nothing`() throws {
    let place = try Place()
    try place.write(
      "bad.yaml", "version: 1\nname: bad\nfile_rules:\n  - {name: a, paths: ['/a'], decision: perhaps}\n")
    try place.write("closed.yaml", Self.own, uid: 0)
    chmod(place.machine.alice.home + "/closed.yaml", 0o600)
    try place.write(
      "sets.yaml", Self.own.replacing("env_policy:", with: "env_inject: {NAME_X: '1'}\nenv_policy:"))
    let cases = [
      ("bad.yaml", "bad.yaml:4:"), ("none.yaml", "none.yaml cannot be read"),
      ("closed.yaml", "closed.yaml cannot be read"),
      (
        "sets.yaml",
        "the policies basic and \(place.machine.alice.home)/sets.yaml cannot be combined: env_inject"
      ),
    ]
    for (file, cause) in cases {
      let outcome = try place.wrap(["--policy", file], ["/usr/bin/touch", "started"])
      #expect(outcome.status == 125 && outcome.errors.contains(cause), "\(file): \(outcome)")
    }
    #expect(!FileManager.default.fileExists(atPath: place.machine.alice.home + "/started"))
    let listed = try place.machine.api("GET", "/api/v1/sessions", as: place.machine.alice).body as? [Any]
    #expect(listed?.isEmpty == true)
  }

  /// The agent does not change by what it is narrowed.
  @Test func `the user's file, and a link to it, are out of the agent's reach`() throws {
    let place = try Place()
    symlink("own.yaml", place.machine.alice.home + "/link.yaml")
    let script = "echo >>own.yaml; rm link.yaml; mv own.yaml other; touch beside"
    #expect(try place.wrap(["--policy", "link.yaml"], ["/bin/sh", "-c", script]).succeeded)
    let home = URL(filePath: place.machine.alice.home)
    #expect(try String(contentsOf: home.appending(path: "link.yaml"), encoding: .utf8) == Self.own)
    #expect(FileManager.default.fileExists(atPath: home.path() + "/beside"))
  }

  /// Under the machine's daemon the trash is the user's own, and a user's policy that keeps what is deleted narrows one that
  /// deletes it.
  @Test func `a user's own policy keeps what is deleted`() throws {
    let place = try Place()
    let home = place.machine.alice.home
    let soft = "  - {name: keep, paths: ['**'], operations: [delete], decision: soft_delete}\n"
    try place.write("soft.yaml", Self.own.replacing("file_rules:\n", with: "file_rules:\n" + soft))
    for name in ["gone", "kept"] { try place.write(name, name) }
    #expect(try place.wrap([], ["/bin/rm", "gone"]).succeeded)
    let inside = try place.wrap(["--policy", "basic", "--with", "soft.yaml"], ["/bin/rm", "kept"])
    #expect(inside.succeeded, "\(inside)")
    #expect(!FileManager.default.fileExists(atPath: home + "/kept"))
    let listed = try place.machine.run([place.agentsh, "trash", "list"], as: place.machine.alice)
    #expect(listed.output.contains(home + "/kept") && !listed.output.contains(home + "/gone"), "\(listed)")
    let id = String(try #require(listed.output.split(separator: "\n").last?.split(separator: " ").first))
    var status = stat()
    #expect(lstat(home + "/.local/state/agentsh/trash/files/" + id, &status) == 0)
    #expect(status.st_uid == place.machine.alice.uid)
    #expect(lstat(home + "/.local/state/agentsh/trash", &status) == 0 && status.st_mode & 0o777 == 0o700)
    let other = try place.machine.run([place.agentsh, "trash", "restore", id], as: place.machine.bob)
    #expect(other.status == 1 && other.errors.contains("there is no \(id)"), "\(other)")
    let restored = try place.machine.run([place.agentsh, "trash", "restore", id], as: place.machine.alice)
    #expect(restored.succeeded && FileManager.default.fileExists(atPath: home + "/kept"), "\(restored)")
  }
}
