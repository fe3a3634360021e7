import Foundation
import Harness
import Testing

/// A launch's control group: nobody gets out of it, and nobody of it outlives the supervisor. Where there is none, what
/// holds then is asserted.
@Suite(.serialized) struct GroupTests {
  /// Three ways to start a program: a user and root with the machine's daemon, root with one of its own.
  enum Way: String, CaseIterable { case user, root, own }

  /// One session, in which `script` runs until the test ends; `$ORPHANS` is that program.
  private final class Bed {
    let machine: Machine?
    let place: Place?
    let user: Machine.User?
    let orphans: String
    let folder: String
    private var running: Running?
    private let before = ControlGroups.ofLaunches
    /// The groups of launches that were made since.
    var groups: Set<String> { ControlGroups.ofLaunches.subtracting(before) }

    init(_ way: Way, withGroups: Bool = true) throws {
      if way == .own {
        let place = try Place(as: .root)
        if !withGroups { try place.mountPrivately(ControlGroups.hiding) }
        (self.place, machine, user, folder) = (place, nil, nil, place.workspace)
        orphans = place.outside + "/orphans"
      } else {
        let machine = try Machine(withGroups: withGroups)
        try machine.startDaemon()
        let user = way == .user ? machine.alice : machine.root
        (self.machine, place, self.user) = (machine, nil, user)
        folder = way == .user ? user.home : machine.directory
        orphans = machine.directory + "/orphans"
      }
      try FileManager.default.copyItem(atPath: Programs.fixture("orphans"), toPath: orphans)
    }

    deinit { for pid in left { kill(pid, SIGKILL) } }

    var left: [Int32] { processes(running: orphans) }
    var supervisors: [Int32] { machine?.supervisors ?? place?.supervisors ?? [] }
    /// Whether the daemon had to move a process into its group.
    var hasMoved: Bool { (machine?.daemonErrors ?? place?.daemonLog ?? "").contains("are moved into") }
    var errors: String { machine?.daemonErrors ?? running?.errorsSoFar ?? "" }

    /// Returns the started session's supervisor once `script` has made the file `started`.
    func start(_ script: String, through words: [String] = []) throws -> Int32 {
      let command = ["/bin/sh", "-c", script.replacing("$ORPHANS", with: orphans)]
      if let machine, let user {
        running = try machine.start(machine.python(["launch", "--policy", "open", "--"] + command), as: user)
      } else if let place {
        running = try place.start(words + place.wrapping(command, policy: place.allowAll))
      }
      let file = folder + "/started"
      guard eventually(within: .seconds(20), { FileManager.default.fileExists(atPath: file) }) else {
        throw HarnessError("not started: \(errors)")
      }
      let all = supervisors
      guard all.count == 1 else { throw HarnessError("\(all.count) supervisors: \(errors)") }
      return all[0]
    }

    func finish() -> Outcome? { running?.finish(timeout: .seconds(20)) }
  }

  private let sleeping = "$ORPHANS 1 sleep; touch started; sleep 303"

  // MARK: - Dying with the supervisor

  @Test(arguments: Way.allCases, [true, false])
  func `an orphan that only sleeps dies with its supervisor, where there are groups`(
    way: Way, withGroups: Bool
  ) throws {
    let bed = try Bed(way, withGroups: withGroups)
    let supervisor = try bed.start(sleeping)
    #expect(bed.left.count == 1)
    #expect(
      bed.groups.count == (withGroups && ControlGroups.canBeMade ? 1 : 0), "\(bed.groups) \(bed.errors)")
    kill(supervisor, SIGKILL)
    let isGone = eventually(within: .seconds(1)) { bed.left.isEmpty }
    // The attack: without a group nobody finds it until it calls. In ptrace mode the kernel does.
    #expect(
      isGone == (withGroups && ControlGroups.canBeMade || Place.isTraced), "\(bed.left) \(bed.errors)")
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  @Test(arguments: Way.allCases) func `two hundred that fork all the time end with their supervisor`(way: Way)
    throws
  {
    guard ControlGroups.canBeMade else {
      // Those that fork make no call that a supervisor without a group would be asked about: nothing is promised.
      #expect(ControlGroups.ofLaunches.isEmpty)
      return
    }
    let bed = try Bed(way)
    // In ptrace mode each fork stops at the one tracer, parent and child, and two hundred take half a minute to begin.
    let count = Place.isTraced ? 50 : 200
    let supervisor = try bed.start("$ORPHANS \(count) fork; touch started; sleep 303")
    #expect(bed.left.count >= count * 3 / 4)
    kill(supervisor, SIGKILL)
    #expect(eventually(within: .seconds(5)) { bed.left.isEmpty }, "\(bed.left.count) \(bed.errors)")
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  @Test(arguments: Way.allCases) func `who starts the launcher in its group waits for no move`(way: Way)
    throws
  {
    let bed = try Bed(way)
    let supervisor = try bed.start(sleeping)
    // The client of `user` and `root` is another's, and knows nothing of groups.
    #expect(bed.hasMoved == (way != .own && ControlGroups.canBeMade), "\(bed.errors)")
    kill(supervisor, SIGKILL)
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  @Test func `a client that does not see the groups has its process moved`() throws {
    let bed = try Bed(.own)
    let place = try #require(bed.place)
    try #expect(place.wrap(["true"], policy: place.allowAll).succeeded)
    #expect(!bed.hasMoved)
    let hidden = [
      "/usr/bin/unshare", "--mount", "/bin/sh", "-c", ControlGroups.hiding + "; exec \"$@\"", "sh",
    ]
    let supervisor = try bed.start(sleeping, through: hidden)
    #expect(bed.hasMoved == ControlGroups.canBeMade)
    #expect(bed.groups.count == (ControlGroups.canBeMade ? 1 : 0), "\(bed.groups)")
    kill(supervisor, SIGKILL)
    #expect(eventually(within: .seconds(1)) { bed.left.isEmpty } == ControlGroups.canBeMade)
    #expect(eventually { bed.groups.isEmpty })
  }

  @Test func `an ordinary user's own daemon uses a group that was delegated to the user`() throws {
    let place = try Place(as: .user)
    let orphans = place.outside + "/orphans"
    try FileManager.default.copyItem(atPath: Programs.fixture("orphans"), toPath: orphans)
    let words = try place.wrapping(
      ["sh", "-c", sleeping.replacing("$ORPHANS", with: orphans)], policy: place.allowAll)
    guard ControlGroups.canBeMade, let own = ControlGroups.directory(of: getpid()) else {
      #expect(ControlGroups.ofLaunches.isEmpty)
      return
    }
    let before = ControlGroups.ofLaunches
    let delegated = own + "/delegated-\(getpid())"
    try #require(mkdir(delegated, 0o755) == 0)
    defer { _ = eventually { rmdir(delegated) == 0 } }
    for file in ["", "/cgroup.procs"] {
      try #require(chown(delegated + file, 4242, 4242) == 0)
    }
    let waiting = "while ! grep -q /delegated- /proc/self/cgroup; do sleep 0.05; done; exec \"$@\""
    let running = try place.start(["/bin/sh", "-c", waiting, "sh"] + words)
    try ControlGroups.move(running.pid, to: delegated)
    #expect(eventually { place.exists(place.workspace + "/started") })
    let made = ControlGroups.ofLaunches.subtracting(before)
    #expect(made.count == 1 && made.allSatisfy { $0.hasPrefix(delegated + "/") }, "\(made)")
    #expect(!place.daemonLog.isEmpty && !place.daemonLog.contains("are moved into"))
    try #require(place.supervisors.count == 1)
    kill(place.supervisors[0], SIGKILL)
    #expect(eventually(within: .seconds(1)) { processes(running: orphans).isEmpty })
    #expect(eventually { ControlGroups.ofLaunches.isSubset(of: before) })
    _ = running.finish(timeout: .seconds(10))
    for pid in place.daemons { kill(pid, SIGKILL) }
    #expect(eventually { place.daemons.isEmpty })
  }

  // MARK: - A daemon that comes back

  @Test func `the next daemon knows the group again`() throws {
    let bed = try Bed(.user)
    let machine = try #require(bed.machine)
    let supervisor = try bed.start(sleeping)
    machine.killDaemon()
    try machine.startDaemon()
    kill(supervisor, SIGKILL)
    let isGone = eventually(within: .seconds(1)) { bed.left.isEmpty }
    #expect(isGone == ControlGroups.canBeMade, "\(bed.errors)")
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  @Test func `a tree whose supervisor died while there was no daemon is ended by the next one`() throws {
    let bed = try Bed(.user)
    let machine = try #require(bed.machine)
    let supervisor = try bed.start(sleeping)
    machine.killDaemon()
    kill(supervisor, SIGKILL)
    #expect(eventually(within: .milliseconds(300)) { bed.left.isEmpty } == Place.isTraced)
    try machine.startDaemon()
    let isGone = eventually(within: .seconds(2)) { bed.left.isEmpty }
    #expect(isGone == (ControlGroups.canBeMade || Place.isTraced), "\(bed.errors)")
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  @Test func `a group that a daemon left half-made is taken away by the next, and no other`() throws {
    let machine = try Machine()
    guard ControlGroups.canBeMade, let own = ControlGroups.directory(of: getpid()),
      let root = ControlGroups.root
    else {
      try machine.startDaemon()
      #expect(ControlGroups.ofLaunches.isEmpty)
      return
    }
    let (left, others) = (own + "/agentsh-00000000000000aa", own + "/agentsh-00000000000000bb")
    defer { for path in [left, others] { rmdir(path) } }
    for path in [left, others] { try #require(mkdir(path, 0o755) == 0) }
    let (inside, outside) = (
      try machine.start(["/usr/bin/sleep", "60"], as: machine.alice),
      try machine.start(["/usr/bin/sleep", "60"], as: machine.alice)
    )
    try ControlGroups.move(inside.pid, to: left)
    try ControlGroups.move(outside.pid, to: others)
    // One whole record, one that names another's group.
    let name = left.dropFirst(root.count)
    let script = """
      mkdir -m 700 -p /var/lib/agentsh/launches && cd /var/lib/agentsh/launches &&
      printf %s '\(name)' >00000000000000aa.group && printf %s '\(others.dropFirst(root.count))' >00000000000000cc.group
      chmod 700 /var/lib/agentsh; ls
      """
    try #require(machine.run(["/bin/sh", "-c", script], as: machine.root).succeeded)
    try machine.startDaemon()
    #expect(eventually { inside.hasEnded && access(left, F_OK) != 0 }, "\(machine.daemonErrors)")
    #expect(!outside.hasEnded && access(others, F_OK) == 0)
    let files = try machine.run(["/bin/ls", "/var/lib/agentsh/launches"], as: machine.root)
    #expect(files.trimmed.isEmpty, "\(files)")
    outside.signal(SIGKILL)
    _ = outside.finish()
  }

  // MARK: - Getting out

  /// As root, under a policy that allows everything, with a group beside that is open to all.
  @Test(arguments: Way.allCases) func `nobody gets out of the group`(way: Way) throws {
    let bed = try Bed(way)
    guard ControlGroups.canBeMade, let own = ControlGroups.directory(of: getpid()),
      let root = ControlGroups.root
    else {
      #expect(ControlGroups.ofLaunches.isEmpty)
      return
    }
    let beside = own + "/beside-\(getpid())"
    try #require(mkdir(beside, 0o777) == 0)
    defer { _ = eventually { rmdir(beside) == 0 } }
    chmod(beside + "/cgroup.procs", 0o666)
    chmod(own + "/cgroup.procs", 0o666)
    defer { chmod(own + "/cgroup.procs", 0o644) }
    let ways = """
      exec 2>/dev/null
      cd \(bed.folder)
      mine=$(sed -n 's/^0:://p' /proc/self/cgroup)
      for to in \(beside) \(own) \(root); do
        echo $$ >$to/cgroup.procs && echo moved
        echo $$ >$to/cgroup.threads && echo moved
        echo $$ >/proc/self/root$to/cgroup.procs && echo moved
        ln -sf $to/cgroup.procs link; echo $$ >link && echo moved
        (cd $to && echo $$ >cgroup.procs && echo moved)
        python3 -c 'import os, sys; to = sys.argv[1]
      at = os.open(to, os.O_RDONLY | os.O_DIRECTORY)
      for path in ["/proc/self/fd/%d/cgroup.procs" % at, "/proc/self/fd/%d" % os.open(to + "/cgroup.procs", os.O_PATH)]:
        try:
          os.write(os.open(path, os.O_WRONLY), str(os.getppid()).encode())
          print("moved")
        except OSError: pass' $to
        mkdir $to/new && echo made && rmdir $to/new
      done
      chmod 777 \(beside)/cgroup.events && echo changed
      rmdir \(beside) && echo removed
      [ "$(sed -n 's/^0:://p' /proc/self/cgroup)" = "$mine" ] && echo same
      """
    // The attack, where nobody is asked.
    let bare = try #require(
      try bed.machine?.run(["/bin/sh", "-c", ways], as: bed.machine!.root) ?? bed.place?.sh(ways))
    #expect(bare.output.contains("moved") && bare.output.contains("made"), "\(bare)")
    #expect(mkdir(beside, 0o777) == 0 || errno == EEXIST)
    chmod(beside + "/cgroup.procs", 0o666)
    let supervisor = try bed.start("(\(ways)) >ways; $ORPHANS 1 sleep; touch started; sleep 303")
    let said = try String(contentsOfFile: bed.folder + "/ways", encoding: .utf8)
    #expect(said == "same\n", "\(said)")
    #expect(bed.left.allSatisfy { ControlGroups.directory(of: $0)?.contains("/agentsh-") == true })
    kill(supervisor, SIGKILL)
    #expect(
      eventually(within: .seconds(1)) { bed.left.isEmpty } && eventually { bed.groups.isEmpty },
      "\(bed.errors)")
  }

  @Test func `a policy that names the files of groups does not open them`() throws {
    let place = try Place(as: .root)
    let to = (ControlGroups.root ?? "/sys/fs/cgroup") + "/cgroup.procs"
    let policy = try place.policy(
      """
      file_rules:
        - {name: groups, paths: ["/sys/fs/cgroup/**"], operations: ["*"], decision: allow}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    let outcome = try place.wrap(["sh", "-c", "echo 0 >\(to)"], policy: policy)
    #expect(outcome.status != 0 && outcome.errors.contains("ermission denied"), "\(outcome)")
    #expect(try place.denials().contains("agentsh-floor \(to)"))
  }

  // MARK: - Who is inside

  @Test func `a process in a session's group is inside for the API, whoever its parent is`() throws {
    let bed = try Bed(.user)
    let (machine, user) = try (#require(bed.machine), #require(bed.user))
    let supervisor = try bed.start(sleeping)
    let asking = """
      until [ -e go ]; do sleep 0.05; done
      exec python3 \(machine.client) api GET /api/v1/sessions
      """
    func ask(from group: String?) throws -> [String: Any] {
      unlink(user.home + "/go")
      let running = try machine.start(["/bin/sh", "-c", asking], as: user)
      if let group { try ControlGroups.move(running.pid, to: group) }
      try Data().write(to: URL(filePath: user.home + "/go"))
      return try Machine.answer(running.finish(timeout: .seconds(20)))
    }
    #expect(try ask(from: nil)["status"] as? Int == 200)
    if ControlGroups.canBeMade {
      // No filter, no parent of ours: the group alone says it.
      let group = try #require(bed.left.first.flatMap(ControlGroups.directory(of:)))
      let said = try ask(from: group)
      #expect(said["status"] as? Int == 403, "\(said)")
      #expect((said["body"] as? [String: Any])?["code"] as? String == "inside_session", "\(said)")
    }
    kill(supervisor, SIGKILL)
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  // MARK: - Ends that nobody forced

  /// What is left in the background is told, and has two seconds, also when nobody is its parent any more.
  @Test(arguments: Way.allCases, [true, false])
  func `who is left in the background at the end is told and has its time`(way: Way, withGroups: Bool) throws
  {
    let bed = try Bed(way, withGroups: withGroups)
    let left = "trap \"sleep 0.5; echo told >told; exit\" TERM; touch started; while :; do sleep 0.1; done"
    let script = "(setsid sh -c '\(left)' >/dev/null 2>&1 &); until [ -e go ]; do sleep 0.05; done; echo end"
    _ = try bed.start(script)
    try Data().write(to: URL(filePath: bed.folder + "/go"))
    _ = bed.finish()
    #expect(eventually { bed.supervisors.isEmpty })
    // Who is the parent of all finds all; a supervisor of the machine's daemon needs the group for it.
    let isFound = way == .own || withGroups && ControlGroups.canBeMade
    #expect(FileManager.default.fileExists(atPath: bed.folder + "/told") == isFound, "\(bed.errors)")
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }

  /// Without a supervisor nobody goes on: found by the group, else by its first call.
  @Test(arguments: Way.allCases, [true, false])
  func `who is deaf and left behind at the end is ended`(way: Way, withGroups: Bool) throws {
    let bed = try Bed(way, withGroups: withGroups)
    let deaf =
      "trap \"\" TERM HUP; exec \(bed.folder)/deaf -c \"while [ -e /etc/hostname ]; do : </etc/hostname; done\""
    try FileManager.default.copyItem(atPath: "/bin/dash", toPath: bed.folder + "/deaf")
    let script =
      "(setsid sh -c '\(deaf)' >/dev/null 2>&1 &); touch started; until [ -e go ]; do sleep 0.05; done; echo end"
    _ = try bed.start(script)
    let deafs = { processes(running: bed.folder + "/deaf") }
    #expect(eventually { !deafs().isEmpty })
    try Data().write(to: URL(filePath: bed.folder + "/go"))
    _ = bed.finish()
    let areGone = eventually(within: .seconds(5)) { deafs().isEmpty }
    #expect(areGone, "\(deafs()) \(bed.errors)")
    for pid in deafs() { kill(pid, SIGKILL) }
    #expect(eventually { bed.supervisors.isEmpty && bed.groups.isEmpty })
  }

  @Test(arguments: Way.allCases) func `a deleted session's orphans end, and its group goes`(way: Way) throws {
    let bed = try Bed(way)
    _ = try bed.start(sleeping)
    let path = "/api/v1/sessions"
    if let machine = bed.machine, let user = bed.user {
      let all = try machine.api("GET", path, as: user).body as? [[String: Any]]
      let id = try #require(all?.first?["id"] as? String)
      #expect(try machine.api("DELETE", path + "/" + id, as: user).status == 204)
    } else if let place = bed.place {
      place.environment["AGENTSH_SOCKET"] = place.socket
      let client = ["/usr/bin/python3", Programs.fixtures + "/wrap_client.py", "api"]
      let all = try Machine.answer(place.run(client + ["GET", path]))["body"] as? [[String: Any]]
      let id = try #require(all?.first?["id"] as? String)
      try place.run(client + ["DELETE", path + "/" + id])
    }
    let isFound = way == .own || ControlGroups.canBeMade
    #expect(eventually { bed.left.isEmpty } == isFound, "\(bed.errors)")
    #expect(eventually { bed.groups.isEmpty }, "\(bed.errors)")
  }
}
