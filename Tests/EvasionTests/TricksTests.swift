import Foundation
import Harness
import Testing

/// Ways around the policy, each shown to work without us first. What a machine cannot do at all even bare
/// (`unsupported`, or a right that an ordinary user lacks) has nothing to show, and must still not work inside.
@Suite(.serialized) struct TricksTests {
  static let reading = [
    "open", "openat2", "hardlink", "hardlink_at_fd", "symlink", "symlink_directory", "rename",
    "rename_directory",
    "exchange", "proc_root", "proc_thread_root", "proc_parent_root", "proc_cwd", "chdir", "dirfd",
    "dirfd_above", "dotdot",
    "opath", "opath_openat", "write_then_read", "directory_list", "handle", "io_uring", "int80", "x32",
    "chroot",
    "fork_open",
  ]
  static let changing = [
    "unlink", "truncate", "open_trunc", "write", "create", "tmpfile_link", "mkdir", "mknod", "symlink_there",
    "rename_over", "rename_away", "create_through_symlink", "write_proc_fd", "bind_unix",
  ]
  static let connecting = [
    "connect", "connect_nonblocking", "connect_any", "connect_other_loopback", "connect_mapped",
    "connect_mapped_any",
    "fastopen", "fastopen_sendmsg", "fastopen_sendmmsg", "fastopen_connect", "connect_again",
  ]
  static let datagrams = [
    "udp_sendto", "udp_sendmsg", "udp_sendmmsg", "udp_connect", "udp_reconnect", "udp_unspec", "udp_mapped",
    "udp_four_on_six", "udp_any", "udp_let_go",
  ]
  static let sockets = ["unix", "unix_symlink", "unix_proc", "unix_relative", "abstract"]
  static let running = [
    "exec", "exec_vfork", "exec_symlink", "exec_hardlink", "exec_copy", "exec_memfd", "exec_memfd_path",
    "exec_fd",
    "exec_dirfd", "exec_proc_fd", "exec_deleted", "exec_unlinked", "exec_loader", "exec_env", "exec_hashbang",
    "exec_hashbang_nested",
  ]
  static let refused = [
    "traceme", "userfaultfd", "add_key", "perf", "personality", "packet_socket", "alg_socket", "vsock_socket",
    "listener",
    "mount", "bind_mount", "clone_namespace", "mq_open", "mq_unlink", "timer_thread", "tiocsti", "raw_socket",
    "raw_six",
    "inet_packet", "packet_datagram", "sctp_socket", "mptcp_socket", "netlink_address",
  ]
  static let watching =
    [
      "prlimit", "affinity", "priority", "idle", "ptrace", "pidfd_getfd", "read_memory", "read_vm",
      "list_descriptors",
    ] + signals
  /// Ways to have a process killed, at once or by what the kernel is asked to send later.
  static let signals = [
    "signal_fown", "signal_fown_ex", "signal_fown_thread", "signal_fiosetown", "signal_siocspgrp",
    "signal_lease",
    "signal_queue", "signal_thread_queue", "signal_tgkill", "signal_pidfd", "signal",
  ]
  /// What needs more than an ordinary user has, or a kernel that has it.
  static let mayNotWorkBare: Set<String> = [
    "handle", "x32", "int80", "chroot", "packet_socket", "alg_socket", "vsock_socket",
    "listener", "mount", "bind_mount", "clone_namespace", "userfaultfd", "perf", "timer_thread", "tiocsti",
    "raw_socket", "raw_six", "inet_packet", "packet_datagram", "sctp_socket", "mptcp_socket",
    "netlink_address",
  ]

  @Test(arguments: Caller.allCases) func `what may not be read is not read`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for trick in Self.reading {
      try box.expectRefused("reading", trick, [box.secret], unless: Self.mayNotWorkBare)
      #expect(try String(contentsOfFile: box.secret, encoding: .utf8) == "SECRET", "\(trick)")
    }
    #expect(try box.place.denials().contains { $0 == "no-secret \(box.secret)" })
  }

  @Test(arguments: Caller.allCases) func `a rule does not end where its file is deleted`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    for trick in ["opath_deleted", "opath_deleted_dev_fd"] {
      try box.expectRefused("reading what is deleted", trick, [box.unread], unless: Self.mayNotWorkBare)
    }
    #expect(try box.place.denials().contains { $0 == "unread \(box.unread) (deleted)" })
  }

  @Test(arguments: Caller.allCases) func `what may not be changed is not changed`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let folder = (box.fixed as NSString).deletingLastPathComponent
    for trick in Self.changing {
      try box.expectRefused("changing", trick, [box.fixed], unless: Self.mayNotWorkBare)
      #expect(try String(contentsOfFile: box.fixed, encoding: .utf8) == "SECRET", "\(trick)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"], "\(trick)")
    }
  }

  @Test(arguments: Caller.allCases) func `what may only be made, or only be written, is refused as the other`(
    caller: Caller
  ) throws {
    let box = try Sandbox(as: caller)
    for (place, word) in [("written", "create"), ("made", "write")] {
      let folder = box.place.outside + "/open/" + place
      let policy = try box.place.policy(
        """
        file_rules:
          - {name: no-\(word), paths: ["\(folder)/**"], operations: [\(word)], decision: deny}
          - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
        command_rules: [{name: all, commands: ["*"], decision: allow}]
        """, name: place)
      try box.place.makeDirectory(folder)
      if word == "write" { try box.place.write("there", to: folder + "/file") }
      let inside = try box.place.wrap(["sh", "-c", "echo x >\(folder)/file"], policy: policy)
      #expect(inside.errors.contains("Permission denied"), "\(inside)")
      #expect(try box.place.denials().contains("no-\(word) \(folder)/file"))
      #expect(box.place.read(folder + "/file") == (word == "write" ? "there" : nil))
    }
  }

  @Test(arguments: Caller.allCases) func `a port that may not be reached is not reached`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    for trick in Self.connecting {
      try box.expectRefused("connecting", trick, [box.port("SECRET")], unless: Self.mayNotWorkBare)
    }
    let afterBare = Self.connecting.count
    #expect(
      box.timesReached("SECRET") == afterBare, "the server counts connections that were closed again, too")
    let inside = try box.inside([box.tricks, "connect", box.port("allowed")])
    #expect(inside.output.contains("ECONNREFUSED") && box.timesReached("allowed") == 1, "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `no datagram goes to a port that may not be reached`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    for trick in Self.datagrams {
      try box.expectRefused(
        "sending", trick, [box.port("SECRET-datagram"), box.port("allowed-datagram")],
        unless: Self.mayNotWorkBare)
    }
    #expect(box.timesReached("SECRET-datagram") == Self.datagrams.count)
  }

  @Test(arguments: Caller.allCases) func `a Unix socket that may not be reached is not reached`(
    caller: Caller
  ) throws {
    let box = try Sandbox(as: caller)
    for trick in Self.sockets {
      let name = trick == "abstract" ? "SECRET\(box.place.outside)" : "\(box.place.outside)/SECRET.sock"
      _ = try box.bare([box.tricks, trick, name])
      let before = box.timesReached(name)
      #expect(before > 0, "\(trick) does not work bare")
      let inside = try box.inside([box.tricks, trick, name])
      box.note("Unix sockets", trick, inside)
      #expect(!inside.reached && inside.status == 1, "\(trick): \(inside)")
      #expect(box.timesReached(name) == before, "\(trick)")
    }
  }

  @Test(arguments: Caller.allCases) func `a program that may not run does not run`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for trick in Self.running {
      try box.expectRefused("starting", trick, [box.forbidden], unless: Self.mayNotWorkBare)
    }
  }

  @Test(arguments: Caller.allCases) func `calls that nothing needs are refused`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for trick in Self.refused {
      try box.expectRefused("what nothing needs", trick, [], unless: Self.mayNotWorkBare)
    }
  }

  @Test(arguments: Caller.allCases) func `a process outside cannot be turned on`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for trick in Self.watching {
      for isBare in [true, false] {
        let sleeper = try box.place.start(["/usr/bin/sleep", "60"])
        #expect(eventually { box.place.processes(named: "sleep").contains { $0.pid == sleeper.pid } })
        let words = [box.tricks, trick, String(sleeper.pid)]
        let outcome = try isBare ? box.bare(words) : box.inside(words)
        if !isBare { box.note("processes outside", trick, outcome) }
        #expect(outcome.reached == isBare, "\(trick) \(isBare ? "bare" : "inside"): \(outcome)")
        sleeper.signal(SIGKILL)
      }
    }
  }

  /// The same with rules about signals, where none is sent but by the supervisor.
  @Test(arguments: Caller.allCases) func `a process outside cannot be signalled past rules either`(
    caller: Caller
  )
    throws
  {
    let box = try Sandbox(as: caller)
    let policy = try box.policy(
      with: "signal_rules: [{name: own, signals: [\"@all\"], target: {type: session}, decision: allow}]",
      name: "signals")
    for trick in Self.signals {
      let sleeper = try box.place.start(["/usr/bin/sleep", "60"])
      #expect(eventually { box.place.processes(named: "sleep").contains { $0.pid == sleeper.pid } })
      let inside = try box.place.wrap([box.tricks, trick, String(sleeper.pid)], policy: policy)
      box.note("signals, with rules", trick, inside)
      #expect(!inside.reached && !inside.timedOut && inside.status != 2, "\(trick): \(inside)")
      #expect(!sleeper.hasEnded, "\(trick)")
      sleeper.signal(SIGKILL)
    }
  }

  @Test(arguments: Caller.allCases) func `the supervisor cannot be turned on`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for trick in Self.watching {
      let script =
        "'\(box.tricks)' \(trick) $PPID; echo still here; cat /etc/hostname >/dev/null && echo and working"
      let inside = try box.inside(["sh", "-c", script])
      box.note("the supervisor", trick, inside)
      #expect(!inside.output.contains("reached"), "\(trick): \(inside)")
      #expect(
        inside.output.contains("still here\nand working\n") && inside.status == 0, "\(trick): \(inside)")
    }
  }

  @Test(arguments: Caller.allCases) func `the daemon's socket is out of reach`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    try #require(box.inside(["true"]).succeeded)
    for name in ["agentsh.sock", "supervisor.sock"] {
      let socket = box.place.runtime + "/agentsh/" + name
      let bare = try box.place.run([box.tricks, "unix_reaches", socket])
      try #require(bare.reached, "\(bare)")
      for way in [socket, "/proc/self/root" + socket] {
        let inside = try box.inside([box.tricks, "unix_reaches", way])
        #expect(!inside.reached, "\(inside)")
      }
    }
    for words in [["session", "list"], ["events", "query"], ["wrap", "--", "true"], ["server", "stop"]] {
      let inside = try box.inside([Programs.agentsh()] + words)
      #expect(inside.status != 0, "\(words): \(inside)")
    }
    #expect(box.place.daemons.count == 1)
  }

  @Test(arguments: Caller.allCases) func `our own files cannot be changed from inside`(caller: Caller) throws
  {
    let box = try Sandbox(as: caller)
    try #require(box.inside(["true"]).succeeded)
    let programs = try Programs.directory.get()
    let script = """
      for f in '\(programs)'/agentsh*; do (echo x >>"$f") 2>/dev/null && echo "wrote $f"; mv "$f" "$f.away" 2>/dev/null && echo "moved $f"; done
      mv '\(programs)' '\(programs)-away' 2>/dev/null && echo moved programs
      (echo x >>'\(box.policy)') 2>/dev/null && echo wrote policy
      for d in '\(box.place.runtime)/agentsh' '\(box.place.home)/.local/state/agentsh'; do
        [ -d "$d" ] || echo "no $d"
        touch "$d/new" 2>/dev/null && echo "created in $d"; mv "$d" "$d.away" 2>/dev/null && echo "moved $d"; rm -rf "$d" 2>/dev/null
        [ -d "$d" ] || echo "removed $d"
      done; echo end
      """
    let inside = try box.place.wrap(["sh", "-c", script], policy: box.policy)
    #expect(inside.output == "end\n", "\(inside)")
    #expect(try box.inside(["echo", "works"]).output == "works\n")
  }
}
