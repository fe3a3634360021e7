import Foundation
import Harness
import Testing

/// soft_delete: what a program deletes is moved, whole, to where nobody inside gets at it, and can be had back.
@Suite(.serialized) struct TrashTests {
  private static func trash(of place: Place) -> String { place.home + "/.local/state/agentsh/trash" }

  private static func policy(_ place: Place, reads: String = "") throws -> String {
    try place.policy(
      """
      file_rules:
      \(reads)
        - {name: keep, paths: ["\(place.workspace)/**"], operations: [delete, rmdir], decision: soft_delete, message: kept}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: all, commands: ["*"], decision: allow}
      """)
  }

  /// In the trash, by the name that it had: inode, size and mode of each.
  private func kept(_ place: Place, _ options: [String] = []) throws -> [[String: Any]] {
    let listed = try place.agentsh(["trash", "list", "--json"] + options)
    #expect(listed.succeeded, "\(listed)")
    let rows = try JSONSerialization.jsonObject(with: Data(listed.output.utf8)) as? [[String: Any]]
    return try #require(rows)
  }

  @Test(arguments: Caller.allCases)
  func `what is deleted is gone, and comes back whole`(caller: Caller) throws {
    let place = try Place(as: caller)
    let policy = try Self.policy(place)
    let script = """
      mkdir -p dir/sub && printf content > dir/sub/file && chmod 640 dir/sub/file && touch -d @1000000000 dir/sub/file
      ln -s nowhere dir/link && mkfifo dir/fifo && printf two > dir/one && ln dir/one dir/two
      """
    #expect(try place.sh(script + "; rm -r dir && test ! -e dir").succeeded)
    #expect(!place.exists(Self.trash(of: place)))
    try #require(try place.sh(script).succeeded)
    let before = try place.sh("stat -c '%i %s %a %Y %F' dir/sub/file dir/link dir/fifo dir/one").output
    let inside = try place.wrap(["/bin/sh", "-c", "rm -r dir && test ! -e dir"], policy: policy)
    #expect(inside.succeeded, "\(inside)")
    #expect(!place.exists(place.workspace + "/dir"))
    let rows = try kept(place)
    let names = ["fifo", "link", "one", "sub/file", "two"].map { place.workspace + "/dir/" + $0 }
    #expect(rows.compactMap { $0["path"] as? String }.sorted() == names)
    #expect(rows.allSatisfy { $0["rule"] as? String == "keep" })
    for row in rows {
      let restored = try place.agentsh(["trash", "restore", try #require(row["id"] as? String)])
      #expect(restored.succeeded && restored.output == "\(row["path"] ?? "")\n", "\(restored)")
    }
    #expect(try place.sh("stat -c '%i %s %a %Y %F' dir/sub/file dir/link dir/fifo dir/one").output == before)
    #expect(place.read(place.workspace + "/dir/sub/file") == "content")
    #expect(try kept(place).isEmpty)
    for folder in ["/files", "/info"] {
      #expect(try FileManager.default.contentsOfDirectory(atPath: Self.trash(of: place) + folder).isEmpty)
    }
    // Each deletion is an event that says where the file was then.
    let events = try place.events(["--path", place.workspace + "/dir/sub/file"]).filter {
      $0["operation"] as? String == "delete"
    }
    #expect(events.count == 1)
    let said = events.first?["policy"] as? [String: Any]
    #expect(
      said?["decision"] as? String == "soft_delete" && said?["effective_decision"] as? String == "allow")
    let fields = events.first?["fields"] as? [String: Any]
    #expect((fields?["path2"] as? String)?.hasPrefix(Self.trash(of: place) + "/files/") == true, "\(events)")
  }

  /// The answers of `unlink` and `rmdir`, bare and inside, on whatever they do not delete.
  @Test(arguments: Caller.allCases)
  func `what cannot be deleted is not, with the kernel's answers`(caller: Caller) throws {
    let place = try Place(as: caller)
    let script = """
      import os
      os.makedirs("full/below"); open("file", "w").close(); os.symlink("full", "link"); os.mkdir("shut")
      open("shut/file", "w").close(); os.chmod("shut", 0o500)
      for call, name in [(os.unlink, n) for n in ["full", "full/", "file/", "link/", "none", "none/file", ".", "full/..",
                         "a" * 300, "/proc/self/status"]] + [(os.rmdir, n) for n in ["full", "file", "none", "link", "."]]:
          try: print(call(name))
          except OSError as error: print(call.__name__, name[:20], error.errno)
      if os.getuid():
          try: os.unlink("shut/file")
          except OSError as error: print(error.errno)
      """
    let words = ["/usr/bin/python3", "-c", script]
    let bare = try place.run(words)
    try #require(bare.succeeded, "\(bare)")
    try #require(try place.sh("chmod 700 shut; rm -rf full file link shut").succeeded)
    let inside = try place.wrap(words, policy: try Self.policy(place))
    #expect(inside.output == bare.output, "\(inside)")
    #expect(try kept(place).isEmpty)
    for folder in ["/files", "/info"] {
      let left = try? FileManager.default.contentsOfDirectory(atPath: Self.trash(of: place) + folder)
      #expect(left?.isEmpty ?? true, "\(left ?? [])")
    }
  }

  /// Deleted under one policy, it is neither read nor changed under another that denies reading anything.
  @Test(arguments: Caller.allCases)
  func `nobody inside reaches the trash`(caller: Caller) throws {
    let place = try Place(as: caller)
    let trash = Self.trash(of: place)
    let secret = "  - {name: secret, paths: [\"**/secret\"], operations: [open, read], decision: deny}"
    let policy = try Self.policy(place, reads: secret)
    for name in ["secret", "other"] { try place.write("told", to: place.workspace + "/" + name) }
    let deleted = try place.wrap(["/bin/rm", "secret", "other"], policy: policy)
    #expect(deleted.succeeded && !place.exists(place.workspace + "/secret"), "\(deleted)")
    let rows = try kept(place)
    let file = try #require(
      rows.first { ($0["path"] as? String)?.hasSuffix("/secret") == true }?["file"] as? String)
    let reading = ["cat \(file)", "ls \(trash)/files", "cp \(file) copy", "cat \(trash)/info/*"]
    let changing = [
      "printf x >> \(file)", "mv \(file) moved && mv moved \(file)", "ln \(file) linked && rm linked",
      "mv \(place.home)/.local/state away && mv away \(place.home)/.local/state", "chmod 600 \(file)",
      "touch \(trash)/files/new && rm \(trash)/files/new", "rm \(file)",
    ]
    for attack in reading + changing.dropLast() {
      #expect(try place.sh(attack).succeeded, "bare: \(attack)")
    }
    try #require(try place.sh("rm -f copy; printf told > \(file)").succeeded)
    for attack in reading + changing {
      let inside = try place.wrap(["/bin/sh", "-c", attack], policy: policy)
      #expect(!inside.succeeded && !inside.output.contains("told"), "\(attack): \(inside)")
    }
    #expect(place.read(file) == "told" && !place.exists(place.workspace + "/copy"))
    for command in [["list"], ["restore", "x"], ["purge", "--all"]] {
      let inside = try place.wrap(
        [try Programs.agentsh(), "trash"] + command, policy: policy)
      #expect(!inside.succeeded || !inside.output.contains("secret"), "\(inside)")
    }
    #expect(try kept(place).count == 2)
    // Another session's policy, without soft_delete: it denies reading `secret`, and so the trash.
    let another = try place.policy(
      """
      file_rules:
      \(secret)
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: all, commands: ["*"], decision: allow}
      """, name: "another")
    let other = try place.wrap(["/bin/cat", file], policy: another)
    #expect(!other.succeeded && !other.output.contains("told"), "\(other)")
  }

  @Test(arguments: Caller.allCases)
  func `a workspace on another file system has a trash of its own`(caller: Caller) throws {
    let place = try Place(as: caller)
    let (disk, third) = (place.directory + "/disk", place.directory + "/third")
    let owner = caller == .user ? "uid=\(caller.uid),gid=\(caller.uid)," : ""
    try place.mountPrivately(
      "mkdir -p \(disk) \(third); for d in \(disk) \(third); do mount -t tmpfs -o \(owner)mode=755 none $d; done"
    )
    let policy = try place.policy(
      """
      file_rules:
        - {name: keep, paths: ["\(disk)/**", "\(third)/**"], operations: [delete], decision: soft_delete}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: all, commands: ["*"], decision: allow}
      """)
    let options = ["--quiet", "--root", disk]
    try #require(try place.sh("printf a > \(disk)/file; printf b > \(third)/file").succeeded)
    let inside = try place.wrap(["/bin/rm", disk + "/file"], policy: policy, options: options)
    #expect(inside.succeeded, "\(inside)")
    let id = try #require(try kept(place, ["--root", disk]).first?["id"] as? String)
    #expect(try place.sh("cat \(disk)/.agentsh_trash/files/\(id)").output == "a")
    #expect(try place.sh("cat \(disk)/.agentsh_trash/.gitignore").output == "*\n")
    // The trash goes with its workspace, or not at all.
    for attack in ["rm -r \(disk)/.agentsh_trash", "mv \(disk)/.agentsh_trash \(disk)/elsewhere"] {
      let inside = try place.wrap(["/bin/sh", "-c", attack], policy: policy, options: options)
      #expect(!inside.succeeded, "\(attack): \(inside)")
    }
    // Where there is none it is not deleted.
    let elsewhere = try place.wrap(["/bin/rm", third + "/file"], policy: policy, options: options)
    #expect(elsewhere.status == 1 && elsewhere.errors.contains("Permission denied"), "\(elsewhere)")
    #expect(try place.sh("cat \(third)/file").output == "b")
    let denied = try place.events(["--path", third + "/file", "--decision", "deny"])
    #expect(
      (denied.first?["fields"] as? [String: Any])?["reason"] as? String
        == "no trash on its file system that is the owner's alone")
    let restored = try place.agentsh(["trash", "restore", id, "--root", disk])
    #expect(restored.succeeded, "\(restored)")
    #expect(try place.sh("cat \(disk)/file").output == "a")
    // A directory that others can write to is no trash; neither is a link.
    for spoilt in ["chmod 777 .agentsh_trash", "rm -r .agentsh_trash; ln -s /tmp .agentsh_trash"] {
      try #require(try place.sh("cd \(disk) && \(spoilt)").succeeded)
      let inside = try place.wrap(["/bin/rm", disk + "/file"], policy: policy, options: options)
      #expect(inside.status == 1, "\(spoilt): \(inside)")
      #expect(try place.sh("cat \(disk)/file").output == "a")
    }
  }

  /// A link on the way would put the trash where rules do not know it.
  @Test(arguments: Caller.allCases)
  func `a trash behind a link is none`(caller: Caller) throws {
    let place = try Place(as: caller)
    let state = place.home + "/.local/state/agentsh"
    // The daemon's own state has to be a directory: the link comes when it runs.
    let policy = try Self.policy(place)
    #expect(try place.wrap(["/bin/true"], policy: policy).succeeded)
    try #require(try place.sh("mv \(state) \(state).real && ln -s \(state).real \(state)").succeeded)
    try place.write("a", to: place.workspace + "/file")
    let inside = try place.wrap(["/bin/rm", "file"], policy: policy)
    #expect(inside.succeeded, "\(inside)")
    #expect(!place.exists(state + ".real/trash"))
    let rows = try kept(place)
    #expect(rows.count == 1)
    #expect((rows.first?["file"] as? String)?.hasPrefix(place.workspace + "/.agentsh_trash/files/") == true)
  }

  /// A name that is a file now and a directory then: what is moved to the trash is never a directory with what is in it.
  @Test(arguments: Caller.allCases)
  func `a directory that takes the file's name meanwhile stays`(caller: Caller) throws {
    let place = try Place(as: caller)
    let script = """
      import ctypes, os, threading, time
      libc = ctypes.CDLL(None, use_errno=True)
      os.mkdir("dir"); open("dir/inner", "w").close()
      end = time.time() + 4
      def exchange():
          n = 0
          while time.time() < end:
              if libc.renameat2(-100, b"dir", -100, b"name", 2) == 0: n += 1
              else:
                  try: os.close(os.open("name", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                  except OSError: pass
          print("exchanged", n)
      thread = threading.Thread(target=exchange); thread.start()
      gone = isdir = 0
      while time.time() < end:
          for name in (b"name", b"dir"):
              if libc.unlink(name) == 0: gone += 1
              elif ctypes.get_errno() == 21: isdir += 1
          if not os.path.lexists("dir"):
              try: os.close(os.open("dir", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
              except OSError: pass
      thread.join()
      print("gone", gone); print("isdir", isdir)
      print("inner", sum(os.path.exists(d + "/inner") for d in ("dir", "name")))
      """
    let words = ["/usr/bin/python3", "-c", script]
    let bare = try place.run(words)
    try #require(bare.count("gone") > 0 && bare.count("isdir") > 0 && bare.count("inner") == 1, "\(bare)")
    try #require(try place.sh("rm -rf dir name").succeeded)
    let inside = try place.wrap(words, policy: try Self.policy(place), timeout: .seconds(60))
    #expect(
      inside.count("gone") > 0 && inside.count("isdir") > 0 && inside.count("exchanged") > 0
        && inside.count("inner") == 1, "\(inside)")
    let files = Self.trash(of: place) + "/files"
    #expect(try place.sh("find \(files) -mindepth 1 -type d").output == "")
    #expect(try kept(place).count == inside.count("gone"))
  }

  @Test(arguments: Caller.allCases)
  func `restoring and purging, and what they refuse`(caller: Caller) throws {
    let place = try Place(as: caller)
    let policy = try Self.policy(place)
    for name in ["a", "b", "deep/c", "d"] { try place.write(name, to: place.workspace + "/" + name) }
    // Mode and all, as the place of a file that never came.
    #expect(try place.sh("chmod 1000 a").succeeded)
    #expect(try place.wrap(["/bin/rm", "-f", "a", "b", "deep/c", "d"], policy: policy).succeeded)
    var id: [String: String] = [:]
    for row in try kept(place) {
      id[try #require((row["path"] as? String)?.split(separator: "/").last.map(String.init))] =
        row["id"] as? String
    }
    try place.write("new", to: place.workspace + "/a")
    let there = try place.agentsh(["trash", "restore", try #require(id["a"])])
    #expect(there.status == 1 && there.errors.contains("is there already"), "\(there)")
    #expect(place.read(place.workspace + "/a") == "new")
    let beside = try place.agentsh(["trash", "restore", try #require(id["a"]), "--to", "a.old"])
    try #require(chmod(place.workspace + "/a.old", 0o600) == 0)
    #expect(beside.succeeded && place.read(place.workspace + "/a.old") == "a", "\(beside)")
    // A link that the agent put there would have us write where it may not.
    try #require(try place.sh("rmdir deep; mkdir elsewhere; ln -s elsewhere deep").succeeded)
    let led = try place.agentsh(["trash", "restore", try #require(id["c"])])
    #expect(led.status == 1 && led.errors.contains("is a link or a file now"), "\(led)")
    #expect(!place.exists(place.workspace + "/elsewhere/c"))
    let unknown = try place.agentsh(["trash", "restore", "no-such"])
    #expect(unknown.status == 1 && unknown.errors.contains("agentsh trash list"), "\(unknown)")
    // What a supervisor leaves that is killed in between: the place of a file that was never moved.
    let left = [Self.trash(of: place) + "/files/0", Self.trash(of: place) + "/info/0"]
    try place.write("", to: left[0])
    try #require(chmod(left[0], 0o1000) == 0)
    try place.write("agentsh trash 1\npath=/etc/passwd\ndeleted=1\nsession=s\nrule=r\n", to: left[1])
    #expect(try kept(place).count == 3)
    let place0 = try place.agentsh(["trash", "restore", "0"])
    #expect(place0.status == 1 && place0.errors.contains("only the place of a file"), "\(place0)")
    for words in [[], ["--all", "x"], ["--older-than", "soon"]] {
      #expect(try place.agentsh(["trash", "purge"] + words).status == 2)
    }
    #expect(try place.agentsh(["trash", "purge", "--older-than", "1h"]).output == "0 purged\n")
    #expect(!left.contains { place.exists($0) })
    #expect(try place.agentsh(["trash", "purge", try #require(id["d"])]).output == "1 purged\n")
    #expect(try kept(place).count == 2)
    #expect(try place.agentsh(["trash", "purge", "--all"]).output == "2 purged\n")
    #expect(try kept(place).isEmpty)
    #expect(try place.agentsh(["trash", "list"]).output == "ID  DELETED  SIZE  PATH\n")
  }
}
