import Foundation
import Harness
import Testing

/// `permit: [user_namespaces]`: who has a user namespace of its own can change its root, its mounts and its number, and gets
/// past no rule by it. `Tests/fixtures/namespaces.c`
@Suite(.serialized) struct NamespaceTests {
  private static let permission = "permit: [user_namespaces]"
  static let kinds = ["user", "pid", "net", "mnt", "uts", "ipc", "cgroup"]
  static let otherKinds = ["time"]
  static let reading = [
    "open", "open_relative", "open_dots", "open_outside", "open_link", "open_proc", "open_shared",
  ]
  static let changing = ["write", "unlink", "rename", "link", "chmod", "truncate"]
  static let mounted = [
    "bound", "bound_file", "bound_tree", "bound_private", "bound_moved", "pivoted", "detached", "passed",
    "proc_of_other", "overlay",
  ]

  /// A sandbox with the fixture in it.
  private struct Cell {
    let box: Sandbox
    let policy: String
    let tool: String
    var outside: String { box.place.outside }

    init(as caller: Caller) throws {
      box = try Sandbox(as: caller)
      policy = try box.policy(with: permission, name: "permit")
      tool = try box.place.install("namespaces", at: box.place.outside + "/namespaces")
    }

    /// A root directory with a program in it and what it needs.
    func jail(_ name: String, _ program: String, _ content: String) throws -> String {
      let jail = outside + "/" + name
      try box.place.makeDirectory(jail)
      let script = """
        for f in $(ldd '\(program)' | grep -o '/[^ ]*'); do mkdir -p "\(jail)${f%/*}" && cp -L "$f" "\(jail)$f"; done
        cp '\(program)' '\(jail)/prog' && printf '\(content)' >'\(jail)/file'
        """
      let made = try box.place.sh(script)
      guard made.succeeded else { throw HarnessError("\(made)") }
      return jail
    }

    func expectRefused(_ kind: String, _ way: String, _ path: String) throws {
      let words = [tool, way, outside, path]
      let bare = try box.bare(words)
      #expect(bare.reached, "\(way) does not work bare: \(bare)")
      try box.restore()
      let inside = try box.place.wrap(words, policy: policy)
      box.note(kind, way, inside)
      #expect(inside.status == 1 && !inside.reached, "\(way): \(inside)")
    }
  }

  @Test(arguments: Caller.allCases) func `only what is permitted can be made`(caller: Caller) throws {
    let cell = try Cell(as: caller)
    for kind in Self.kinds + Self.otherKinds {
      let words = [cell.tool, "make", kind]
      #expect(try cell.box.bare(words).reached, "\(kind)")
      let without = try cell.box.inside(words)
      #expect(without.output == "EPERM\n", "\(kind): \(without)")
      let with = try cell.box.place.wrap(words, policy: cell.policy)
      #expect(with.output == (Self.kinds.contains(kind) ? "reached\n" : "EPERM\n"), "\(kind): \(with)")
      if Self.otherKinds.contains(kind) { cell.box.note("namespaces that are not permitted", kind, with) }
    }
    try cell.expectRefused("namespaces that are not permitted", "setns", "/")
  }

  @Test(arguments: Caller.allCases) func `a root of one's own gives things no other name`(caller: Caller)
    throws
  {
    let cell = try Cell(as: caller)
    for way in Self.reading { try cell.expectRefused("reading with another root", way, "/secret/file") }
    for way in Self.changing {
      try cell.expectRefused("changing with another root", way, "/fixed/file")
      #expect(try String(contentsOfFile: cell.box.fixed, encoding: .utf8) == "SECRET", "\(way)")
    }
    try cell.expectRefused("changing with another root", "mkdir", "/fixed/made")
    try cell.expectRefused("changing with another root", "bind", "/fixed/made")
    try cell.expectRefused("Unix sockets with another root", "connect", "/SECRET.sock")
    #expect(cell.box.timesReached(cell.outside + "/SECRET.sock") == 1)
    #expect(try cell.box.place.denials().contains("no-secret \(cell.box.secret)"))
    for (way, path) in [("open", "/log/file"), ("bind", "/open/socket"), ("mkdir", "/open/made")] {
      let open = try cell.box.place.wrap([cell.tool, way, cell.outside, path], policy: cell.policy)
      #expect(open.reached && cell.box.place.exists(cell.outside + path), "\(way): \(open)")
    }

    let jail = try cell.jail("jail", cell.box.forbidden, "SECRET")
    let policy = try cell.box.place.policy(
      """
      \(Self.permission)
      file_rules: [{name: all, paths: ["/", "/**"], operations: ["*"], decision: allow}]
      command_rules:
        - {name: jail, commands: ["\(jail)/prog"], decision: deny}
        - {name: all, commands: ["*"], decision: allow}
      """, name: "jail")
    let words = [cell.tool, "exec", jail, "/prog"]
    #expect(try cell.box.place.run(words).reached)
    let inside = try cell.box.place.wrap(words, policy: policy)
    cell.box.note("starting with another root", "exec", inside)
    #expect(inside.output == "EACCES\n", "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `mounts of one's own give things no other name`(caller: Caller)
    throws
  {
    let cell = try Cell(as: caller)
    for way in Self.mounted { try cell.expectRefused("reading by a mount", way, "/secret/file") }
    for way in Self.changing {
      try cell.expectRefused("changing by a mount", "bound_" + way, "/fixed/file")
      #expect(try String(contentsOfFile: cell.box.fixed, encoding: .utf8) == "SECRET", "\(way)")
    }
    try cell.expectRefused("changing by a mount", "bound_mkdir", "/fixed/made")
    try cell.expectRefused("Unix sockets by a mount", "bound_connect", "/SECRET.sock")
    #expect(cell.box.timesReached(cell.outside + "/SECRET.sock") == 1)
    #expect(try cell.box.place.denials().contains("no-secret \(cell.box.secret)"))
    // What may be done is done.
    for (way, path) in [("bound_write", "/log/file"), ("bound_mkdir", "/log/made")] {
      try cell.box.restore()
      let inside = try cell.box.place.wrap([cell.tool, way, cell.outside, path], policy: cell.policy)
      #expect(inside.reached && cell.box.place.exists(cell.outside + path), "\(way): \(inside)")
    }
    let sleeper = try cell.box.place.start(["/usr/bin/sleep", "60"])
    #expect(eventually { cell.box.place.processes(named: "sleep").contains { $0.pid == sleeper.pid } })
    // Bare it is refused, for whoever is in a user namespace has no rights over a process outside; but we do.
    let process = ["bound_process", cell.outside, "/proc/\(sleeper.pid)/environ"]
    let read = try cell.box.place.wrap([cell.tool] + process, policy: cell.policy)
    cell.box.note("reading by a mount", "bound_process", read)
    #expect(read.status == 1 && !read.reached, "\(read)")
    sleeper.signal(SIGKILL)
    // Neither where everybody is, nor by one that has given the capability up.
    for way in ["mount_outside", "mount_powerless"] {
      let inside = try cell.box.place.wrap([cell.tool, way, cell.outside, "/log/file"], policy: cell.policy)
      cell.box.note("mounting", way, inside)
      #expect(inside.output == "EPERM\n", "\(way): \(inside)")
    }
  }

  @Test(arguments: Caller.allCases) func `a mount makes no program another`(caller: Caller) throws {
    let cell = try Cell(as: caller)
    let jail = try cell.jail("jail", cell.box.forbidden, "SECRET")
    let rules = """
      \(Self.permission)
      file_rules: [{name: all, paths: ["/", "/**"], operations: ["*"], decision: allow}]
      command_rules:
        - {name: tool, commands: ["\(cell.tool)"], decision: allow}
      """
    for (way, rule) in [
      ("bound_exec", "{name: jail, commands: [\"\(jail)/*\"], decision: deny}"),
      // Only what lies there outside.
      ("private_exec", "{name: open, commands: [\"\(cell.outside)/open/*\"], decision: allow}"),
    ] {
      let rest = way == "bound_exec" ? "\n  - {name: all, commands: [\"*\"], decision: allow}" : ""
      let policy = try cell.box.place.policy("\(rules)\n  - \(rule)\(rest)", name: way)
      let words = [cell.tool, way, cell.outside, "/jail/prog"]
      #expect(try cell.box.bare(words).reached, "\(way)")
      let inside = try cell.box.place.wrap(words, policy: policy)
      cell.box.note("starting by a mount", way, inside)
      #expect(inside.status == 1 && !inside.reached, "\(way): \(inside)")
    }
  }

  @Test(arguments: Caller.allCases) func `mounts that another process turns`(caller: Caller) throws {
    let cell = try Cell(as: caller)
    let allowed = try cell.jail("allowed", "/bin/true", "open")
    let denied = try cell.jail("denied", cell.box.forbidden, "SECRET")
    try cell.box.place.makeDirectory(cell.outside + "/turned")
    let policy = try cell.box.policy(with: Self.permission, name: "turned")
    let rules = try #require(cell.box.place.read(policy)).replacing("/secret/**", with: "/denied/file")
    try cell.box.place.write(rules, to: policy)
    let words = [cell.tool, "mounts", allowed, denied, cell.outside + "/turned/file"]
    let bare = try cell.box.place.run(words + ["1"])
    #expect(bare.count("leaks") > 0, "\(bare)")
    let inside = try cell.box.place.wrap(words + ["3"], policy: policy, timeout: .seconds(90))
    cell.box.note("races", "the mount of an open", inside)
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `a root that another process turns`(caller: Caller) throws {
    let cell = try Cell(as: caller)
    let allowed = try cell.jail("allowed", "/bin/true", "open")
    let denied = try cell.jail("denied", cell.box.forbidden, "SECRET")
    let policy = try cell.box.place.policy(
      """
      \(Self.permission)
      file_rules:
        - {name: no-file, paths: ["\(denied)/file"], operations: [open, read], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: no-program, commands: ["\(denied)/prog"], decision: deny}
        - {name: all, commands: ["*"], decision: allow}
      """, name: "turned")
    let bare = try cell.box.place.run([cell.tool, "race", allowed, denied, "/file", "1"])
    #expect(bare.count("leaks") > 0, "\(bare)")
    let inside = try cell.box.place.wrap(
      [cell.tool, "race", allowed, denied, "/file", "3"], policy: policy, timeout: .seconds(90))
    cell.box.note("races", "the root of an open", inside)
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")

    let started = try cell.box.place.run([cell.tool, "exec", allowed, denied, "/prog", "1"])
    #expect(started.reached, "\(started)")
    let end = ContinuousClock.now + .seconds(3)
    var outcomes: [Outcome] = []
    while ContinuousClock.now < end || outcomes.isEmpty {
      outcomes.append(
        try cell.box.place.wrap([cell.tool, "exec", allowed, denied, "/prog", "3"], policy: policy))
    }
    cell.box.note("races", "the root of an exec", outcomes[0])
    #expect(!outcomes.contains { $0.reached }, "\(outcomes)")
    #expect(outcomes.contains { $0.count("allowed") > 0 || $0.status > 128 }, "\(outcomes)")
  }

  /// What `TricksTests` tries, by one that has user and pid namespaces of its own.
  @Test(arguments: Caller.allCases) func `the ways around stay closed in namespaces of one's own`(
    caller: Caller
  ) throws {
    let cell = try Cell(as: caller)
    let box = cell.box
    func expectNothing(_ kind: String, _ trick: String, _ arguments: [String]) throws {
      try box.restore()
      let words = ["unshare", "-U", "-p", "-f", "sh", "-c", "\"$@\"; exit $?", "sh", box.tricks, trick]
      let inside = try box.place.wrap(words + arguments, policy: cell.policy)
      box.note("\(kind), in namespaces of one's own", trick, inside)
      #expect(!inside.reached && !inside.timedOut && inside.status != 2, "\(trick): \(inside)")
    }
    for trick in TricksTests.reading { try expectNothing("reading", trick, [box.secret]) }
    for trick in TricksTests.changing {
      try expectNothing("changing", trick, [box.fixed])
      #expect(try String(contentsOfFile: box.fixed, encoding: .utf8) == "SECRET", "\(trick)")
    }
    for trick in TricksTests.connecting { try expectNothing("connecting", trick, [box.port("SECRET")]) }
    let named = ["abstract": "SECRET\(box.place.outside)"]
    let socket = "\(box.place.outside)/SECRET.sock"
    for trick in TricksTests.sockets { try expectNothing("Unix sockets", trick, [named[trick] ?? socket]) }
    for name in ["SECRET", socket] + named.values { #expect(box.timesReached(name) == 0, "\(name)") }
    for trick in TricksTests.running { try expectNothing("starting", trick, [box.forbidden]) }
    for trick in TricksTests.refused where !["clone_namespace", "traceme"].contains(trick) {
      try expectNothing("what nothing needs", trick, [])
    }
    for trick in TricksTests.watching {
      let sleeper = try box.place.start(["/usr/bin/sleep", "60"])
      #expect(eventually { box.place.processes(named: "sleep").contains { $0.pid == sleeper.pid } })
      try expectNothing("processes outside", trick, [String(sleeper.pid)])
      #expect(!sleeper.hasEnded, "\(trick)")
      sleeper.signal(SIGKILL)
    }
  }

  /// As bare: who is somebody else outside does not become the owner by a number, and the owner's capabilities are not
  /// those of one that has a user namespace of its own.
  @Test func `nobody in a namespace is more than it is outside`() throws {
    let cell = try Cell(as: .root)
    let closed = try cell.box.place.write("mine", to: cell.outside + "/open/closed", mode: 0o600)
    let theirs = try cell.box.place.write("theirs", to: cell.outside + "/open/theirs", mode: 0o600)
    chown(theirs, 4242, 4242)
    for (file, expected) in [(closed, "EACCES\n"), (theirs, "reached\n")] {
      let words = [cell.tool, "other_uid", "4242", file]
      #expect(try cell.box.place.run(words).output == expected)
      let inside = try cell.box.place.wrap(words, policy: cell.policy)
      #expect(inside.output == expected, "\(inside)")
    }
    let words = [cell.tool, "plain", "/", theirs]
    #expect(try cell.box.place.run(words).output == "EACCES\n")
    let inside = try cell.box.place.wrap(words, policy: cell.policy)
    #expect(inside.output == "EACCES\n", "\(inside)")
  }

  /// As bare: a sandbox inside holds what is in it, also by the supervisor's hand.
  @Test(arguments: Caller.allCases) func `nobody gets out of a namespace by a process above it`(
    caller: Caller
  ) throws {
    let cell = try Cell(as: caller)
    for way in ["parents_root", "parents_environment"] {
      let words = [cell.tool, way, cell.outside, "/log/file"]
      #expect(try cell.box.bare(words).output == "EACCES\n", "\(way)")
      let inside = try cell.box.place.wrap(words, policy: cell.policy)
      cell.box.note("out of a namespace of one's own", way, inside)
      #expect(inside.output == "EACCES\n", "\(way): \(inside)")
    }
  }

  @Test(arguments: Caller.allCases) func `what is permitted works`(caller: Caller) throws {
    let cell = try Cell(as: caller)
    let place = cell.box.place
    func expectSame(_ words: [String]) throws {
      let bare = try place.run(words)
      try #require(bare.succeeded, "\(words): \(bare)")
      let inside = try place.wrap(words, policy: cell.policy)
      #expect(inside.output == bare.output && inside.succeeded, "\(words): bare \(bare) inside \(inside)")
    }
    try expectSame([cell.tool, "credentials"])
    // The numbers of a pid namespace, in calls that name a process.
    let numbers = """
      echo $$; sleep 9 & kill -0 $! && prlimit --pid $! --nofile=10 && renice -n 5 $! >/dev/null && taskset -p 1 $!
      kill $!; wait
      """
    try expectSame(["unshare", "-U", "-n", "-p", "-f", "sh", "-c", numbers])
    // Paths from a root of one's own, by links, `..` and the working directory.
    let jail = try cell.jail("jail", "/bin/cat", "text\\n")
    try place.makeDirectory(jail + "/below")
    symlink("/file", jail + "/below/link")
    for path in ["/file", "file", "/../../file", "below/link", "/below/../file"] {
      try expectSame([cell.tool, "run", jail, "/prog", path])
    }
    // Numbers of root's are given by who may set file capabilities, which root inside may not.
    guard caller == .user else { return }
    try expectSame(["unshare", "-U", "-r", "sh", "-c", "id -u; unshare -U -r id -u; cat /proc/self/uid_map"])
    try expectSame(["unshare", "-U", "-r", "unshare", "-U", "-r", "-p", "-f", "sh", "-c", "id -u; echo $$"])
  }

  @Test func `bubblewrap works, and what is in it is held to the policy`() throws {
    let cell = try Cell(as: .user)
    let place = cell.box.place
    let whole = "bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all --hostname box"
    func expect(_ script: String, _ output: String, _ sandbox: String = whole) throws {
      let words = sandbox.split(separator: " ").map(String.init) + ["sh", "-c", script]
      let bare = try place.run(words)
      try #require(bare.output == output, "\(words): \(bare)")
      let inside = try place.wrap(words, policy: cell.policy)
      #expect(inside.output == output && inside.status == bare.status, "\(words): \(inside)")
    }
    try expect("echo $$; hostname; cat /proc/self/comm /proc/$$/comm; echo x >/dev/null", "2\nbox\ncat\nsh\n")
    try expect("echo a >/tmp/a; ln -s a /tmp/b; cat /tmp/b; ls /tmp", "a\na\nb\n")
    let open = cell.outside + "/open"
    try expect("touch '\(open)/a' 2>/dev/null || echo closed", "closed\n")
    try expect(
      "cat /tmp/mine/file; echo; echo a >/tmp/mine/a && cat /tmp/mine/a; rm /tmp/mine/a; touch /tmp/theirs/a 2>/dev/null || echo closed",
      "open\na\nclosed\n", whole + " --bind \(open) /tmp/mine --ro-bind \(open) /tmp/theirs")
    try expect(
      "python3 -c 'import pty, os; m, s = pty.openpty(); print(os.ttyname(s))'; ipcmk -M 10 >/dev/null && ipcs -m | awk '$4 == 666' | grep -c .",
      "/dev/pts/0\n0\n")
    try expect("exec \(whole) sh -c 'echo $$; ls -A /tmp'", "2\n")
    // A root with nothing but what was put there.
    try expect(
      "ls /; git init -q /w && cd /w && git -c user.name=a -c user.email=b commit --allow-empty -qm c && git log -1 --format=%s",
      "bin\ndev\nlib\nlib64\nproc\nusr\nw\nc\n",
      "bwrap --ro-bind /usr /usr --symlink usr/lib64 /lib64 --symlink usr/lib /lib --symlink usr/bin /bin --proc /proc --dev /dev --bind \(place.workspace) /w --unshare-pid --setenv HOME /w"
    )
    let hidden = try place.wrap(
      ["bwrap", "--dev-bind", "/", "/", "--bind", cell.outside, "/mnt", "cat", "/mnt/secret/file"],
      policy: cell.policy)
    #expect(!hidden.output.contains("SECRET") && hidden.errors.contains("Permission denied"), "\(hidden)")
    #expect(try place.denials().contains("no-secret \(cell.box.secret)"))
  }

  @Test func `a browser's own sandbox works, and the browser is held to the policy`() throws {
    let cell = try Cell(as: .user)
    let place = cell.box.place
    let page = try place.write(
      "<script>document.write('sum ' + (40 + 2))</script>", to: place.workspace + "/page.html")
    try place.write("<b>SECRET</b>", to: cell.outside + "/secret/page.html")
    func browse(_ url: String, _ policy: String) throws -> Outcome {
      try place.wrap(
        [
          "chromium", "--headless", "--disable-gpu", "--user-data-dir=\(place.workspace)/browser",
          "--dump-dom",
          url,
        ], policy: policy, timeout: .seconds(120))
    }
    let without = try browse("file://\(page)", cell.box.policy)
    #expect(!without.output.contains("sum 42") && without.errors.contains("sandbox"), "\(without)")
    let shown = try browse("file://\(page)", cell.policy)
    #expect(shown.output.contains("sum 42"), "\(shown)")
    let hidden = try browse("file://\(cell.outside)/secret/page.html", cell.policy)
    #expect(!hidden.output.contains("SECRET"), "\(hidden)")
    #expect(try place.denials().contains("no-secret \(cell.outside)/secret/page.html"))
    let port = try cell.box.port("SECRET")
    let visited = try browse("http://127.0.0.1:\(port)/", cell.policy)
    #expect(!visited.output.contains("SECRET") && cell.box.timesReached("SECRET") == 0, "\(visited)")
  }
}
