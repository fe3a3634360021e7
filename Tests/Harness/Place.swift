import CLinux
import Foundation

/// One test's world: a home, a workspace, a place outside both, a runtime directory, and whatever daemon is started
/// there. Nothing meets the developer's own daemon; `deinit` ends every process that was started here, by its pid.
package final class Place {
  package let caller: Caller
  package let directory: String
  package var home: String { directory + "/home" }
  package var workspace: String { directory + "/home/project" }
  package var outside: String { directory + "/outside" }
  package var runtime: String { directory + "/run" }
  package var socket: String { runtime + "/agentsh/agentsh.sock" }
  /// What the daemon of this place has said.
  package var daemonLog: String {
    (try? String(contentsOfFile: home + "/.local/state/agentsh/agentshd.log", encoding: .utf8)) ?? ""
  }
  /// Added to (or replacing) the environment of everything that runs here.
  package var environment: [String: String] = [:]

  private let scratch: String
  private let uid: UInt32?
  private var namespace: Running?
  private let groups = ControlGroups.ofLaunches

  /// AGENTSH_ENFORCEMENT: the mode that the daemons of all places are configured for; nil: none is named.
  private static let enforcement = ProcessInfo.processInfo.environment["AGENTSH_ENFORCEMENT"]

  /// A daemon's configuration, in the mode that the tests run in if it names none.
  package static func inMode(_ yaml: String) -> String {
    guard let enforcement, !yaml.contains("enforcement:") else { return yaml }
    return "enforcement: \(enforcement)\n" + yaml
  }

  /// Whether sessions are in ptrace mode.
  package static var isTraced: Bool { enforcement == "ptrace" }

  package init(as caller: Caller) throws {
    self.caller = caller
    switch (caller, getuid()) {
    case (.root, 0): uid = nil
    case (.root, _): throw HarnessError("this test needs root: run Scripts/test as root")
    case (.user, 0): uid = Caller.uid
    case (.user, _): uid = nil
    }
    directory = try Programs.temporaryDirectory("at")
    scratch = directory + "/scratch"
    mkdir(scratch, 0o700)
    for path in [home, workspace, outside, runtime] { try makeDirectory(path) }
    chmod(runtime, 0o700)
    chmod(home, 0o700)
    if Self.enforcement != nil { try configure("") }
    namespace = getuid() == 0 && caller == .root ? try Self.ownHome(home, directory, scratch) : nil
  }

  /// Root's home is in /etc/passwd, whatever HOME says, and state and configuration lie there. A mount namespace with
  /// another /etc/passwd keeps the tests out of it; where there can be none (a container without CAP_SYS_ADMIN), root's
  /// tests share root's event store.
  private static func ownHome(_ home: String, _ directory: String, _ scratch: String) throws -> Running? {
    let passwd = try String(contentsOfFile: "/etc/passwd", encoding: .utf8).split(separator: "\n").map {
      line in
      var fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      if fields.count > 6, fields[2] == "0" { fields[5] = home }
      return fields.joined(separator: ":") + "\n"
    }
    let file = directory + "/passwd"
    try Data(passwd.joined().utf8).write(to: URL(fileURLWithPath: file))
    chmod(file, 0o644)
    return try mountNamespace("mount --bind \(file) /etc/passwd", scratch)
  }

  /// A process that holds a new mount namespace in which `script` was run; nil when it failed.
  private static func mountNamespace(_ script: String, _ scratch: String) throws -> Running? {
    let holder = try Running(
      [
        "/usr/bin/unshare", "--mount", "--propagation", "private", "sh", "-ec",
        script + "\necho ready; exec tail -f /dev/null",
      ],
      environment: ["PATH": administratorPath], as: nil, input: nil, scratch: scratch)
    let ready = eventually(within: .seconds(2)) { holder.outputSoFar == "ready\n" }
    return ready ? holder : nil
  }

  private static let administratorPath = "/usr/sbin:/usr/bin:/sbin:/bin"

  /// Runs a script as root in a mount namespace of this place's own: what it mounts, everything that is started here from
  /// now on sees, and nobody else. Takes root, also for an ordinary user's place.
  package func mountPrivately(_ script: String) throws {
    guard getuid() == 0 else { throw HarnessError("this test mounts: run Scripts/test as root") }
    guard let namespace else {
      namespace = try Self.mountNamespace(script, scratch)
      guard namespace != nil else { throw HarnessError("not mounted: \(script)") }
      return
    }
    let done = try Running(
      ["/usr/bin/nsenter", "--mount", "--target", String(namespace.pid), "sh", "-ec", script],
      environment: ["PATH": Self.administratorPath], as: nil, input: nil, scratch: scratch
    ).finish()
    guard done.succeeded else { throw HarnessError("not mounted: \(script): \(done)") }
  }

  deinit {
    // Nobody here is asked nicely: what must be stored by then, a test has waited for.
    for _ in 0..<50 {
      let left = processes()
      if left.isEmpty { break }
      for process in left { kill(process.pid, SIGKILL) }
      usleep(5_000)
    }
    ControlGroups.clear(except: groups)
    try? FileManager.default.removeItem(atPath: directory)
  }

  // MARK: - Files

  package func makeDirectory(_ path: String) throws {
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
      throw HarnessError("mkdir \(path): errno \(errno)")
    }
    own(path)
  }

  @discardableResult
  package func write(_ text: String, to path: String, mode: UInt32 = 0o644) throws -> String {
    let parent = (path as NSString).deletingLastPathComponent
    if !FileManager.default.fileExists(atPath: parent) { try makeDirectory(parent) }
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    chmod(path, mode)
    own(path)
    return path
  }

  /// The configuration of the daemon that the first command starts.
  package func configure(_ yaml: String) throws {
    for path in ["/.config", "/.config/agentsh"] { try makeDirectory(home + path) }
    try write(Self.inMode(yaml), to: home + "/.config/agentsh/config.yaml", mode: 0o600)
  }

  package func read(_ path: String) -> String? {
    (try? Data(contentsOf: URL(fileURLWithPath: path))).map { String(decoding: $0, as: UTF8.self) }
  }

  package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Tests/fixtures/NAME.c, compiled, in the workspace (or where it is said), owned by the caller.
  @discardableResult
  package func install(_ fixture: String, at path: String? = nil) throws -> String {
    let to = path ?? workspace + "/" + fixture
    try? FileManager.default.removeItem(atPath: to)
    try FileManager.default.copyItem(atPath: Programs.fixture(fixture), toPath: to)
    own(to)
    return to
  }

  /// A file or folder of the tests, copied to the workspace, owned by the caller.
  package func copy(_ from: String, to: String) throws {
    try FileManager.default.copyItem(atPath: from, toPath: to)
    for path in [""] + (FileManager.default.subpaths(atPath: to) ?? []) { own(to + "/" + path) }
  }

  private func own(_ path: String) {
    if let uid { lchown(path, uid, uid) }
  }

  // MARK: - Running

  package var variables: [String: String] {
    var all = [
      "HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
      "LANG": "C.UTF-8",
      "XDG_RUNTIME_DIR": runtime, "USER": "tester", "SHELL": "/bin/sh", "TERM": "dumb",
      "GIT_CONFIG_NOSYSTEM": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "SWIFT_BACKTRACE": "enable=no",
    ]
    all.merge(environment) { _, new in new }
    return all
  }

  /// Starts a program, bare. `words[0]` is an absolute path; the working directory is the workspace.
  package func start(_ words: [String], input: String? = nil, in folder: String? = nil) throws -> Running {
    var entering = namespace.map { ["/usr/bin/nsenter", "--mount", "--target", String($0.pid)] } ?? []
    var starter = uid
    if namespace != nil, let uid {
      // Only root enters; then it is the user's turn.
      entering += ["/usr/bin/setpriv", "--reuid", "\(uid)", "--regid", "\(uid)", "--clear-groups"]
      starter = nil
    }
    return try Running(
      entering + ["/usr/bin/env", "-C", folder ?? workspace] + words, environment: variables, as: starter,
      input: input, scratch: scratch)
  }

  /// Runs a program, bare.
  @discardableResult
  package func run(
    _ words: [String], input: String? = nil, in folder: String? = nil, timeout: Duration = .seconds(60)
  ) throws -> Outcome {
    try start(words, input: input, in: folder).finish(timeout: timeout)
  }

  /// Runs a program as root, also in an ordinary user's place.
  package func runAsRoot(_ words: [String], timeout: Duration) throws -> Outcome {
    guard caller == .user else { return try run(words, timeout: timeout) }
    guard getuid() == 0 else { throw HarnessError("this test needs root: run Scripts/test as root") }
    return try Running(
      ["/usr/bin/env", "-C", workspace] + words, environment: variables, as: nil, input: nil, scratch: scratch
    ).finish(timeout: timeout)
  }

  package func sh(_ script: String, timeout: Duration = .seconds(60)) throws -> Outcome {
    try run(["/bin/sh", "-c", script], timeout: timeout)
  }

  /// `agentsh WORDS…`
  @discardableResult
  package func agentsh(_ words: [String], input: String? = nil, timeout: Duration = .seconds(60)) throws
    -> Outcome
  {
    try run([Programs.agentsh()] + words, input: input, timeout: timeout)
  }

  package func wrapping(_ words: [String], policy: String?, options: [String] = []) throws -> [String] {
    let chosen = policy.map { ["--policy", $0] } ?? []
    return try [Programs.agentsh(), "wrap"] + chosen + options + ["--"] + words
  }

  /// `agentsh wrap [--policy POLICY] OPTIONS… -- WORDS…`
  @discardableResult
  package func wrap(
    _ words: [String], policy: String? = nil, options: [String] = ["--quiet"], input: String? = nil,
    in folder: String? = nil, timeout: Duration = .seconds(120)
  ) throws -> Outcome {
    try run(wrapping(words, policy: policy, options: options), input: input, in: folder, timeout: timeout)
  }

  // MARK: - Policies and events

  /// A policy file outside the workspace.
  package func policy(_ rules: String, name: String = "test") throws -> String {
    try write("version: 1\nname: \(name)\n\(rules)", to: directory + "/policies/\(name).yaml")
  }

  package var allowAll: String {
    get throws {
      let text = try String(
        contentsOfFile: Programs.fixtures + "/policies/allow-all-record.yaml", encoding: .utf8)
      return try write(text, to: directory + "/policies/allow-all-record.yaml")
    }
  }

  /// Everything recorded in this place that the filters leave, oldest first.
  package func events(_ filters: [String] = []) throws -> [[String: Any]] {
    let outcome = try agentsh(["events", "query", "--json", "--limit", "10000"] + filters)
    guard outcome.succeeded else { throw HarnessError("events query: \(outcome)") }
    return try outcome.output.split(separator: "\n").map { line in
      guard let event = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw HarnessError("not an event: \(line)")
      }
      return event
    }
  }

  /// Denials, as "rule path-or-remote".
  package func denials() throws -> [String] {
    try events(["--decision", "deny"]).map { event in
      let rule = (event["policy"] as? [String: Any])?["rule"] as? String ?? "?"
      let what = event["path"] ?? event["remote"] ?? event["filename"] ?? ""
      return "\(rule) \(what)"
    }
  }

  // MARK: - Processes

  package struct Found: Sendable {
    package let pid: Int32
    package let name: String
  }

  /// Every process that runs in this place, whoever started it: its environment names our runtime directory, or it is
  /// one of the programs under test (a supervisor keeps no environment; tests run one at a time).
  package func processes(named name: String? = nil) -> [Found] {
    let mark = Data("XDG_RUNTIME_DIR=\(runtime)".utf8)
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    let programs = (try? Programs.directory.get()).map { $0 + "/" } ?? "?"
    return entries.compactMap { entry -> Found? in
      guard let pid = Int32(entry), pid != getpid(),
        let exe = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
      else { return nil }
      if !exe.hasPrefix(programs) {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/environ")),
          data.range(of: mark) != nil
        else { return nil }
      }
      let base = (exe.replacing(" (deleted)", with: "") as NSString).lastPathComponent
      return name == nil || name == base ? Found(pid: pid, name: base) : nil
    }
  }

  package var daemons: [Int32] { processes(named: "agentshd").map(\.pid) }
  package var supervisors: [Int32] { processes(named: "agentsh-supervisor").map(\.pid) }
}
