import Foundation
import Harness
import Testing

/// What a bind mount shows under another name stays under its rule. The mounts are made by root, from outside, in a mount
/// namespace of the test's own; the rules name the place that is mounted, and the tree comes by the other name.
@Suite(.serialized) struct MountTests {
  /// Between two mounts nothing is linked or renamed (EXDEV): these never work from one to the other.
  static let acrossMounts: Set<String> = [
    "hardlink", "hardlink_at_fd", "rename", "rename_directory", "exchange", "exec_hardlink", "tmpfile_link",
    "rename_over", "handle",
    "int80",
    "x32", "chroot",
  ]

  /// A sandbox whose `outside` is mounted at another place too.
  private func mounted(_ caller: Caller) throws -> (box: Sandbox, other: (String) -> String) {
    let box = try Sandbox(as: caller)
    let (outside, alias) = (box.place.outside, box.place.directory + "/alias")
    try box.place.makeDirectory(alias)
    try box.place.mountPrivately("mount --bind \(outside) \(alias)")
    return (box, { $0.replacing(outside, with: alias) })
  }

  /// What is below `path` is neither read nor written; all else is allowed.
  private func closing(_ path: String, _ box: Sandbox) throws -> String {
    try box.place.policy(
      """
      file_rules:
        - {name: closed, paths: ["\(path)/**"], operations: [read, write], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """, name: "closing")
  }

  @Test(arguments: Caller.allCases) func `no file is reached by the other name of its directory`(
    caller: Caller
  ) throws {
    let (box, other) = try mounted(caller)
    for trick in TricksTests.reading where trick != "proc_parent_root" {
      try box.expectRefused("reading, by a bind mount", trick, [other(box.secret)], unless: Self.acrossMounts)
      #expect(box.place.read(box.secret) == "SECRET", "\(trick)")
    }
    #expect(try box.place.denials().contains { $0 == "no-secret \(other(box.secret))" })
    for trick in TricksTests.changing {
      try box.expectRefused("changing, by a bind mount", trick, [other(box.fixed)], unless: Self.acrossMounts)
      #expect(box.place.read(box.fixed) == "SECRET", "\(trick)")
    }
    for trick in TricksTests.running {
      try box.expectRefused(
        "starting, by a bind mount", trick, [other(box.forbidden)], unless: Self.acrossMounts)
    }
    for trick in TricksTests.sockets where trick != "abstract" {
      let name = "\(box.place.outside)/SECRET.sock"
      let before = box.timesReached(name)
      _ = try box.bare([box.tricks, trick, other(name)])
      let after = box.timesReached(name)
      #expect(after > before, "\(trick) does not work bare")
      let inside = try box.inside([box.tricks, trick, other(name)])
      box.note("Unix sockets, by a bind mount", trick, inside)
      #expect(!inside.reached && inside.status == 1, "\(trick): \(inside)")
      #expect(box.timesReached(name) == after, "\(trick)")
    }
  }

  @Test(arguments: Caller.allCases) func `a rule that allows one name allows the other`(caller: Caller) throws
  {
    let (box, other) = try mounted(caller)
    let file = box.place.outside + "/open/file"
    let policy = try box.place.policy(
      """
      file_rules:
        - {name: open, paths: ["\(other(box.place.outside))/open/**"], operations: ["*"], decision: allow}
        - {name: closed, paths: ["\(box.place.directory)/**"], operations: ["*"], decision: deny}
        - {name: system, paths: ["/", "/**"], operations: [open, read, stat, access, list, readlink], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """, name: "names")
    let script = "cat \(file); echo; echo new >\(file); cat \(other(file)); cat \(other(box.secret))"
    let inside = try box.place.wrap(["sh", "-c", script], policy: policy, in: box.place.outside + "/open")
    #expect(inside.output == "open\nnew\n" && inside.errors.contains("Permission denied"), "\(inside)")
    // Two directories of one rule, by two of its names.
    let moving =
      "cd \(other(box.place.outside))/open; mkdir a && touch a/x && mv a b && cat b/x && rm -r b && echo moved"
    let moved = try box.place.wrap(["sh", "-c", moving], policy: policy, in: box.place.outside + "/open")
    #expect(moved.output == "moved\n", "\(moved)")
  }

  @Test(arguments: Caller.allCases) func `a mount that is made or goes while the session runs counts`(
    caller: Caller
  ) throws {
    let box = try Sandbox(as: caller)
    let alias = box.place.directory + "/alias"
    for path in [alias, alias + "/secret"] { try box.place.makeDirectory(path) }
    try box.place.write("COVERED", to: alias + "/secret/file")
    try box.place.mountPrivately("true")
    let script = """
      cat \(alias)/secret/file; echo; touch began
      while [ ! -e mounted ]; do sleep 0.02; done; cat \(alias)/secret/file; touch tried
      while [ ! -e gone ]; do sleep 0.02; done; cat \(alias)/secret/file
      """
    func run(_ words: [String]) throws -> Outcome {
      try box.restore()
      let running = try box.place.start(words)
      for (flag, mount, next) in [
        ("began", "mount --bind \(box.place.outside) \(alias)", "mounted"),
        ("tried", "umount \(alias)", "gone"),
      ] {
        #expect(eventually { box.place.exists(box.place.workspace + "/" + flag) })
        try box.place.mountPrivately(mount)
        usleep(200_000)  // the kernel tells the supervisor
        try box.place.write("", to: box.place.workspace + "/" + next)
      }
      return running.finish(timeout: .seconds(20))
    }
    let bare = try run(["/bin/sh", "-c", script])
    #expect(bare.output == "COVERED\nSECRETCOVERED", "\(bare)")
    let inside = try run(
      box.place.wrapping(["/bin/sh", "-c", script], policy: box.policy, options: ["--quiet"]))
    #expect(inside.output == "COVERED\nCOVERED" && inside.errors.contains("Permission denied"), "\(inside)")
  }

  /// Its other names would then hang on another name of it, and what nobody tells us of are renames.
  @Test(arguments: Caller.allCases) func `what is mounted elsewhere is not moved from inside`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    let (folder, alias) = (box.place.outside + "/open/folder", box.place.directory + "/alias")
    for path in [folder, folder + "/deep", alias] { try box.place.makeDirectory(path) }
    try box.place.write("SECRET", to: folder + "/deep/file")
    try box.place.mountPrivately("mount --bind \(folder)/deep \(alias)")
    let policy = try closing(alias, box)
    for name in [folder + "/deep", folder] {
      let script = "mv \(name) \(name)-away 2>&1; cat \(folder)*/deep*/file"
      let inside = try box.place.wrap(["sh", "-c", script], policy: policy)
      #expect(inside.output.contains("busy") && !inside.output.contains("SECRET"), "\(inside)")
      #expect(box.place.exists(name), "\(name)")
      let bare = try box.place.sh(script + "; mv \(name)-away \(name)")
      #expect(bare.output == "SECRET", "\(bare)")
    }
    let exchanged = try box.place.wrap(
      [box.tricks, "exchange", folder], policy: policy)
    #expect(!exchanged.reached && box.place.exists(folder + "/deep/file"), "\(exchanged)")
  }

  /// Who is outside may rename what is mounted: a second later the rules are at the new name.
  @Test(arguments: Caller.allCases) func `what is renamed outside is under its rule again`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    let (folder, alias) = (box.place.outside + "/open/folder", box.place.directory + "/alias")
    for path in [folder, alias] { try box.place.makeDirectory(path) }
    try box.place.write("SECRET", to: folder + "/file")
    try box.place.mountPrivately("mount --bind \(folder) \(alias)")
    let policy = try closing(alias, box)
    let script = "touch began; while [ ! -e renamed ]; do sleep 0.02; done; cat \(folder)-away/file"
    let running = try box.place.start(
      box.place.wrapping(["sh", "-c", script], policy: policy, options: ["--quiet"]))
    #expect(eventually { box.place.exists(box.place.workspace + "/began") })
    try FileManager.default.moveItem(atPath: folder, toPath: folder + "-away")
    usleep(2_500_000)
    try box.place.write("", to: box.place.workspace + "/renamed")
    let inside = running.finish(timeout: .seconds(20))
    #expect(inside.output.isEmpty && inside.errors.contains("Permission denied"), "\(inside)")
    #expect(try box.place.run(["/bin/cat", folder + "-away/file"]).output == "SECRET")
  }

  /// `self` of another procfs is the supervisor, when the supervisor opens it.
  @Test(arguments: Caller.allCases) func `a second procfs shows nothing`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let other = box.place.directory + "/procfs"
    try box.place.makeDirectory(other)
    try box.place.mountPrivately("mount -t proc proc \(other)")
    let sleeper = try box.place.start(["/usr/bin/env", "TOLD=SECRET", "/usr/bin/sleep", "60"])
    #expect(eventually { box.place.processes(named: "sleep").contains { $0.pid == sleeper.pid } })
    let ways = [
      ("memory of the opener", "exec 3<>\(other)/self/mem && echo reached"),
      ("memory of the parent", "exec 3<>\(other)/$PPID/mem && echo reached"),
      ("environment of a process outside", "grep -aq SECRET \(other)/\(sleeper.pid)/environ && echo reached"),
      ("memory map of the opener", "cd \(other)/self && grep -q . maps && echo reached"),
      ("link of another's root", "cat \(other)/\(sleeper.pid)/root/etc/hostname && echo reached"),
    ]
    for (way, script) in ways {
      // The parent is a shell of the same caller, bare; inside it is that or the supervisor.
      let words = ["sh", "-c", script]
      let bare = try box.bare(["/bin/sh", "-c", "sh -c '\(script)'; exit $?"])
      #expect(bare.reached, "\(way) does not work bare: \(bare)")
      let inside = try box.inside(words)
      box.note("a second procfs", way, inside)
      #expect(!inside.reached && inside.errors.contains("Permission denied"), "\(way): \(inside)")
    }
    #expect(try box.place.denials().contains { $0.hasPrefix("agentsh-floor \(other)/") })
    #expect(try box.inside(["sh", "-c", "cat /proc/self/maps | grep -q . && echo own"]).output == "own\n")
  }

  /// Opened in the moment in which the supervisor does not know of the mount yet.
  @Test(arguments: Caller.allCases) func `nor does one that was mounted a moment ago`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let other = box.place.directory + "/procfs"
    try box.place.makeDirectory(other)
    try box.place.mountPrivately("true")
    let script = """
      import os
      own = f"\(other)/{os.getpid()}/mem"
      reached = denied = absent = 0
      open("began", "w").close()
      while not os.path.exists("over"):
          for _ in range(200):
              try:
                  os.close(os.open(own, os.O_RDWR))
                  reached += 1
              except PermissionError: denied += 1
              except FileNotFoundError: absent += 1
      print("reached" if reached else "none", denied > 0, absent > 0)
      """
    func run(_ words: [String]) throws -> Outcome {
      try box.restore()
      let running = try box.place.start(words)
      #expect(eventually { box.place.exists(box.place.workspace + "/began") })
      try box.place.mountPrivately(
        "for i in $(seq 60); do mount -t proc proc \(other); sleep 0.01; umount -l \(other); sleep 0.01; done"
      )
      try box.place.write("", to: box.place.workspace + "/over")
      return running.finish(timeout: .seconds(20))
    }
    let words = ["/usr/bin/python3", "-c", script]
    #expect(try run(words).output == "reached False True\n")
    let inside = try run(box.place.wrapping(words, policy: box.policy, options: ["--quiet"]))
    #expect(inside.output == "none True True\n", "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `our own files are not reached by another name`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    let (state, alias) = (box.place.runtime + "/agentsh", box.place.directory + "/alias")
    try box.place.makeDirectory(alias)
    try box.place.mountPrivately("true")
    try #require(box.inside(["true"]).succeeded)
    try box.place.mountPrivately("mount --bind \(state) \(alias)")
    let socket = alias + "/agentsh.sock"
    let bare = try box.place.run([box.tricks, "unix_reaches", socket])
    try #require(bare.reached, "\(bare)")
    let script = "'\(box.tricks)' unix_reaches \(socket); touch \(alias)/new; rm -f \(socket); echo end"
    let inside = try box.inside(["sh", "-c", script])
    #expect(!inside.reached && inside.output.hasSuffix("end\n"), "\(inside)")
    #expect(!box.place.exists(state + "/new") && box.place.exists(state + "/agentsh.sock"), "\(inside)")
  }
}
