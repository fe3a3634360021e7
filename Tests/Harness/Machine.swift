import CLinux
import Foundation

/// A machine of its own for the daemon that serves everybody: `/run` and `/var/lib` are empty, and there are three users
/// more. Nothing meets this machine's own daemon; `deinit` ends every process that was started here.
package final class Machine {
  package struct User: Sendable {
    package let name: String
    package let uid: UInt32
    package var home: String = ""
  }

  package let directory: String
  package private(set) var alice = User(name: "alice", uid: 5001)
  package private(set) var bob = User(name: "bob", uid: 5002)
  package private(set) var carol = User(name: "carol", uid: 5003)
  /// Has a home and no line in /etc/passwd.
  package private(set) var dave = User(name: "dave", uid: 5004)
  package let root = User(name: "root", uid: 0, home: "/root")
  package let client: String
  private let scratch: String
  private let holder: Running
  private var daemon: Running?
  private var started: [Running] = []
  private let groups = ControlGroups.ofLaunches

  /// Files of the operator's, by name below `policies`. `withGroups`: false for a machine without control groups.
  package init(
    policies: [String: String] = [:], config: String = "", withGroups: Bool = true
  ) throws {
    guard getuid() == 0 else { throw HarnessError("this test needs root: run Scripts/test as root") }
    // A daemon that a test ran in this process may have left its own.
    umask(0o022)
    directory = try Programs.temporaryDirectory("machine")
    scratch = directory + "/scratch"
    client = directory + "/wrap_client.py"
    mkdir(scratch, 0o700)
    let files = FileManager.default
    try files.copyItem(atPath: Programs.fixtures + "/wrap_client.py", toPath: client)
    chmod(client, 0o755)
    try files.createDirectory(atPath: directory + "/policies", withIntermediateDirectories: true)
    let open = try String(
      contentsOfFile: Programs.fixtures + "/policies/allow-all-record.yaml", encoding: .utf8)
    for (name, text) in policies.merging(["open": open], uniquingKeysWith: { a, _ in a }) {
      let named = text.replacing("name: allow-all-record", with: "name: \(name)")
      try Data(named.utf8).write(to: URL(filePath: directory + "/policies/\(name).yaml"))
    }
    let place = "policies:\n  directory: \(directory)/policies\n"
    let text = config.contains("policies:") ? config.replacing("policies:\n", with: place) : place + config
    try Data(Place.inMode(text).utf8).write(to: URL(filePath: directory + "/config.yaml"))
    try Self.writeAccounts(directory)
    let script = """
      mount -t tmpfs -o mode=755 none /run && mount -t tmpfs -o mode=755 none /var/lib &&
      mount --bind \(directory)/passwd /etc/passwd && mount --bind \(directory)/group /etc/group &&
      { \(withGroups ? "" : ControlGroups.hiding + ";") echo ready; } && exec tail -f /dev/null
      """
    holder = try Running(
      ["/usr/bin/unshare", "--mount", "--propagation", "private", "sh", "-c", script],
      environment: ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin"], as: nil, input: nil, scratch: scratch)
    let made = holder
    guard eventually(within: .seconds(5), { made.outputSoFar == "ready\n" }) else {
      throw HarnessError(
        "no mount namespace (these tests need CAP_SYS_ADMIN): \(holder.finish(timeout: .zero))")
    }
    for path in [\Machine.alice, \Machine.bob, \Machine.carol, \Machine.dave] {
      let home = directory + "/" + self[keyPath: path].name
      self[keyPath: path].home = home
      mkdir(home, 0o755)
      chown(home, self[keyPath: path].uid, self[keyPath: path].uid)
    }
  }

  private static func writeAccounts(_ directory: String) throws {
    var passwd = try String(contentsOfFile: "/etc/passwd", encoding: .utf8)
    var group = try String(contentsOfFile: "/etc/group", encoding: .utf8)
    for (name, number) in [("alice", 5001), ("bob", 5002), ("carol", 5003)] {
      passwd += "\(name):x:\(number):\(number)::\(directory)/\(name):/bin/sh\n"
      group += "\(name):x:\(number):\n"
    }
    group += "agentsh-admin:x:5100:\nagentsh-approvers:x:5102:\nteam:x:5101:alice\n"
    try Data(passwd.utf8).write(to: URL(filePath: directory + "/passwd"))
    try Data(group.utf8).write(to: URL(filePath: directory + "/group"))
  }

  /// Who is in the group from now on. Written in place: the file is mounted over /etc/group.
  package func setMembers(_ members: String, of group: String) throws {
    let path = directory + "/group"
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      return fields[0] == group ? "\(group):x:\(fields[2]):\(members)" : String(line)
    }
    let text = Array((lines.joined(separator: "\n") + "\n").utf8)
    let file = open(path, O_WRONLY | O_TRUNC)
    guard file >= 0, Glibc.write(file, text, text.count) == text.count else { throw HarnessError(path) }
    close(file)
  }

  deinit {
    for running in started { running.signal(SIGKILL) }
    for _ in 0..<100 {
      let left = processes()
      if left.isEmpty { break }
      for pid in left { kill(pid, SIGKILL) }
      usleep(5_000)
    }
    ControlGroups.clear(except: groups)
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// All that runs in our mount namespace, but for its holder.
  private func processes() -> [Int32] {
    func namespace(_ pid: Int32) -> String? {
      try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/mnt")
    }
    guard let ours = namespace(holder.pid) else { return [] }
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.compactMap { Int32($0) }.filter { $0 != holder.pid && namespace($0) == ours }
  }

  // MARK: - The daemon

  /// `without`: a capability (as `chown`) that the daemon is not to have. `only`: those that it is to have, and no way to
  /// more.
  package func startDaemon(without capability: String? = nil, only: [String]? = nil) throws {
    let fewer =
      capability.map {
        ["/usr/bin/setpriv", "--bounding-set", "-" + $0, "--inh-caps", "-" + $0]
      } ?? only.map {
        let list = (["-all"] + $0.map { "+" + $0 }).joined(separator: ",")
        return ["/usr/bin/setpriv", "--no-new-privs", "--bounding-set", list, "--inh-caps", "-all"]
      } ?? []
    let program = try Programs.directory.get() + "/agentshd"
    let running = try start(fewer + [program, "--system", "--config", directory + "/config.yaml"], as: root)
    daemon = running
    var answers = false
    _ = eventually(within: .seconds(10)) {
      answers = health == 200
      return answers || running.hasEnded
    }
    guard answers else {
      throw HarnessError("the daemon does not answer: \(running.finish(timeout: .zero))")
    }
  }

  private var health: Int? { (try? api("GET", "/health", as: root))?.status }
  package var daemonPid: Int32 { daemon?.pid ?? -1 }
  package func endDaemon() -> Outcome? {
    daemon?.signal(SIGTERM)
    return daemon?.finish(timeout: .seconds(15))
  }
  /// As a crash ends it. On return it is gone, and its lock with it: the next may start.
  package func killDaemon() {
    daemon?.signal(SIGKILL)
    _ = daemon?.finish(timeout: .seconds(15))
  }
  package var daemonErrors: String { daemon?.errorsSoFar ?? "" }

  // MARK: - Running

  /// A program as one of the users, without supplementary groups but those named.
  package func start(_ words: [String], as user: User, groups: [UInt32] = [], input: String? = nil) throws
    -> Running
  {
    let list =
      groups.isEmpty ? ["--clear-groups"] : ["--groups", groups.map(String.init).joined(separator: ",")]
    let identity =
      user.uid == 0
      ? [] : ["/usr/bin/setpriv", "--reuid", "\(user.uid)", "--regid", "\(user.uid)"] + list
    let home = user.uid == 0 ? directory : user.home
    let running = try Running(
      ["/usr/bin/nsenter", "--mount", "--target", "\(holder.pid)", "--"] + identity
        + ["/usr/bin/env", "-C", home] + words,
      environment: [
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8",
        "SWIFT_BACKTRACE": "enable=no",
        "PYTHONDONTWRITEBYTECODE": "1",
      ], as: nil, input: input, scratch: scratch)
    started.append(running)
    return running
  }

  package func run(
    _ words: [String], as user: User, groups: [UInt32] = [], timeout: Duration = .seconds(60)
  ) throws -> Outcome {
    try start(words, as: user, groups: groups).finish(timeout: timeout)
  }

  // MARK: - The client of the tests

  package func python(_ words: [String]) -> [String] { ["/usr/bin/python3", client] + words }

  /// What `wrap_client.py WORDS…` says.
  package func speak(
    _ words: [String], as user: User, groups: [UInt32] = [], timeout: Duration = .seconds(60)
  ) throws -> [String: Any] {
    try Self.answer(run(python(words), as: user, groups: groups, timeout: timeout))
  }

  package static func answer(_ outcome: Outcome) throws -> [String: Any] {
    guard outcome.succeeded,
      let object = try? JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
    else { throw HarnessError("\(outcome)") }
    return object
  }

  /// The supervisors that run; tests run one at a time.
  package var supervisors: [Int32] {
    Harness.processes(running: ((try? Programs.directory.get()) ?? "?") + "/agentsh-supervisor")
  }

  package func api(
    _ method: String, _ path: String, _ body: String? = nil, as user: User
  ) throws -> (status: Int, body: Any) {
    let said = try speak(["api", method, path] + (body.map { [$0] } ?? []), as: user)
    guard let status = said["status"] as? Int, let body = said["body"] else { throw HarnessError("\(said)") }
    return (status, body)
  }

  /// Session, wrap-init, launcher, hand-off, wait.
  package func launch(
    _ command: [String], as user: User, groups: [UInt32] = [], options: [String] = []
  ) throws -> [String: Any] {
    try speak(["launch", "--policy", "open"] + options + ["--"] + command, as: user, groups: groups)
  }
}
