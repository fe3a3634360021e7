import Foundation
import Harness
import Testing

/// Calls that a rule lets nobody make before somebody has approved it.
@Suite(.serialized) struct ApprovalTests {
  /// What is called, by kind; each prints `done` when it worked.
  private static let kinds = [
    "read", "write", "create", "delete", "rename", "link", "mkdir", "chmod", "command", "network", "unix",
    "bind",
    "stat", "script",
  ]

  private func script(_ kind: String, _ at: Approving) -> String {
    let (asked, outside) = (at.asked, at.place.outside)
    let python: String? =
      switch kind {
      case "read": "open('\(asked)/a').read()"
      case "write": "os.close(os.open('\(asked)/a', os.O_WRONLY))"
      case "create": "os.close(os.open('\(asked)/new', os.O_WRONLY | os.O_CREAT))"
      case "delete": "os.unlink('\(asked)/b')"
      case "rename": "os.rename('\(asked)/a', '\(asked)/c')"
      case "link": "os.link('\(asked)/a', '\(asked)/d')"
      case "mkdir": "os.mkdir('\(asked)/e')"
      case "chmod": "os.chmod('\(asked)/a', 0o600)"
      case "network": "socket.create_connection(('127.0.0.1', \(at.port)))"
      case "unix": "socket.socket(socket.AF_UNIX).connect('\(outside)/asked.sock')"
      case "bind": "socket.socket(socket.AF_UNIX).bind('\(outside)/new.sock')"
      case "stat": "os.stat('\(outside)/seen')"
      default: nil
      }
    if let python { return "python3 -c \"import os, socket; \(python)\" && echo done" }
    return kind == "script" ? "\(outside)/tool && echo done" : "/usr/bin/id -u >/dev/null && echo done"
  }

  @Test(arguments: kinds, Caller.allCases)
  func `what asks is held, does not happen when denied, and happens when approved`(
    kind: String, caller: Caller
  ) throws {
    let at = try Approving(as: caller)
    try at.place.write("", to: at.place.outside + "/seen")
    try at.place.write("#!/bin/sh\nexit 0\n", to: at.place.outside + "/tool", mode: 0o755)
    let script = script(kind, at)
    for allow in [false, true] {
      let running = try at.start(script)
      let call = try at.held()[0]
      #expect(call["message"] as? String == "look first", "\(call)")
      #expect(running.outputSoFar == "" && !running.hasEnded)
      #expect(try at.answer(call, allow: allow).trimmed == "ok")
      let outcome = running.finish(timeout: .seconds(20))
      #expect(outcome.succeeded == allow && outcome.output == (allow ? "done\n" : ""), "\(allow): \(outcome)")
      // Asked once, and nothing is left.
      #expect(try at.waiting().isEmpty)
    }
    let events = try at.place.events(["--type", "approval_requested,approval_resolved"])
    #expect(events.count == 4, "\(events)")
    let resolved = events.compactMap { ($0["fields"] as? [String: Any])?["approved"] as? Bool }
    #expect(resolved == [false, true])
    // Bare, it works: what stood in the way was us.
    if ["read", "write", "command", "network", "unix", "stat", "script"].contains(kind) {
      #expect(try at.place.sh(script).output == "done\n")
    }
  }

  @Test(arguments: Caller.allCases) func `nobody answers: denied when the time is over`(caller: Caller) throws
  {
    let at = try Approving(as: caller, seconds: 1)
    let started = ContinuousClock.now
    let outcome = try at.start("cat \(at.asked)/a; /usr/bin/id; echo over").finish(timeout: .seconds(20))
    let took = ContinuousClock.now - started
    #expect(outcome.output == "over\n", "\(outcome)")
    #expect(took > .seconds(2) && took < .seconds(8), "\(took)")
    #expect(outcome.errors.contains("Permission denied"), "\(outcome)")
    #expect(try at.reasons("ask-file") == ["deny approval timeout"])
    #expect(try at.reasons("ask-id") == ["deny approval timeout"])
    #expect(try at.waiting().isEmpty)
  }

  @Test(arguments: Caller.allCases) func `a held call holds up nobody else`(caller: Caller) throws {
    let at = try Approving(as: caller)
    let running = try at.start("cat \(at.asked)/a & cat \(at.free)/f; true; wait")
    let call = try at.held()[0]
    #expect(eventually { running.outputSoFar == "free\n" })
    try at.answer(call, allow: true)
    #expect(running.finish(timeout: .seconds(20)).output == "free\na of asked\n")
  }

  @Test(arguments: Caller.allCases) func `Ctrl-C works in a held call`(caller: Caller) throws {
    let at = try Approving(as: caller)
    for handles in [true, false] {
      let handler = handles ? "signal.signal(signal.SIGINT, lambda *_: sys.exit('caught'));" : ""
      let running = try at.start(
        "python3 -c \"import os, signal, sys; \(handles ? handler : "signal.signal(signal.SIGINT, signal.SIG_DFL);") os.open('\(at.asked)/a', 0)\"; echo $?"
      )
      let call = try at.held()[0]
      let pid = try #require((call["fields"] as? [String: Any])?["pid"] as? Int)
      kill(Int32(pid), SIGINT)
      let outcome = running.finish(timeout: .seconds(10))
      #expect(outcome.output == (handles ? "1\n" : "130\n"), "\(outcome)")
      if handles { #expect(outcome.errors == "caught\n") }
      #expect(try at.waiting().isEmpty)
      #expect(try at.answer(call, allow: true).errors.contains("approval not found"))
    }
  }

  @Test(arguments: Caller.allCases)
  func `a handled signal with SA_RESTART makes the call again, and it asks again`(caller: Caller) throws {
    let at = try Approving(as: caller)
    let running = try at.start(
      "python3 -c \"import os, signal; signal.signal(signal.SIGUSR1, lambda *_: None); signal.siginterrupt(signal.SIGUSR1, False); print(os.read(os.open('\(at.asked)/a', 0), 99))\""
    )
    let first = try at.held()[0]
    let pid = try #require((first["fields"] as? [String: Any])?["pid"] as? Int)
    kill(Int32(pid), SIGUSR1)
    var second: [String: Any] = [:]
    #expect(
      try eventually {
        second = try at.waiting().first ?? [:]
        return second["id"] != nil && second["id"] as? String != first["id"] as? String
      })
    try at.answer(second, allow: true)
    #expect(running.finish(timeout: .seconds(20)).output == "b'a of asked\\n'\n")
  }

  @Test(arguments: Caller.allCases) func `who dies while it waits leaves nothing behind`(caller: Caller)
    throws
  {
    let at = try Approving(as: caller)
    let running = try at.start("cat \(at.asked)/a; echo $?")
    let pid = try #require((try at.held()[0]["fields"] as? [String: Any])?["pid"] as? Int)
    kill(Int32(pid), SIGKILL)
    #expect(running.finish(timeout: .seconds(10)).output == "137\n")
    #expect(try at.waiting().isEmpty)
    let resolved = try at.place.events(["--type", "approval_resolved"]).map { $0["fields"] as? [String: Any] }
    #expect(resolved.count == 1 && resolved[0]?["approved"] as? Bool == false, "\(resolved)")
  }

  @Test(arguments: ["b of what asks", "what is free", "the object itself"], Caller.allCases)
  func `what was approved is what is done, whatever the name leads to by then`(
    swap: String, caller: Caller
  ) throws {
    let at = try Approving(as: caller)
    let link = at.place.outside + "/link"
    symlink(at.asked + "/a", link)
    let running = try at.start("cat \(link)")
    let call = try at.held()[0]
    #expect(call["target"] as? String == at.asked + "/a")
    switch swap {
    case "b of what asks", "what is free":
      unlink(link)
      symlink(swap.hasPrefix("b") ? at.asked + "/b" : at.free + "/f", link)
    default: rename(at.asked + "/b", at.asked + "/a")
    }
    try at.answer(call, allow: true)
    let outcome = running.finish(timeout: .seconds(20))
    #expect(!outcome.succeeded && outcome.output == "", "\(outcome)")
    #expect(try at.reasons("ask-file") == ["deny the call meant something else than what was approved"])
  }

  @Test(arguments: ["written", "replaced", "arguments"], Caller.allCases)
  func `a command that is changed while it waits is not run`(way: String, caller: Caller) throws {
    let at = try Approving(as: caller)
    let tool = at.place.outside + "/tool"
    try at.place.write("#!/bin/sh\necho as looked at\n", to: tool, mode: 0o755)
    // Both threads share the arguments' memory.
    let change = way == "arguments" ? "word.value = b'two'" : "pass"
    let program = """
      import ctypes, os, threading, time
      libc = ctypes.CDLL(None)
      word = ctypes.create_string_buffer(b'one')
      argv = (ctypes.c_char_p * 3)(b'tool', ctypes.cast(word, ctypes.c_char_p), None)
      argv = (ctypes.c_void_p * 3)(ctypes.cast(ctypes.c_char_p(b'tool'), ctypes.c_void_p).value, ctypes.addressof(word), None)
      def swap():
          while not os.path.exists('go'): time.sleep(0.01)
          \(change)
          open('gone', 'w').close()
      threading.Thread(target=swap, daemon=True).start()
      libc.execve(b'\(tool)', argv, None)
      """
    let file = try at.place.write(program, to: at.place.workspace + "/run.py")
    let running = try at.start("python3 \(file)")
    let call = try at.held()[0]
    #expect((call["fields"] as? [String: Any])?["args"] as? [String] == ["one"], "\(call)")
    switch way {
    case "written": try at.place.write("#!/bin/sh\necho another\n", to: tool, mode: 0o755)
    case "replaced":
      try at.place.write("#!/bin/sh\necho another\n", to: tool + ".new", mode: 0o755)
      rename(tool + ".new", tool)
    default: break
    }
    try at.place.write("", to: at.place.workspace + "/go")
    #expect(eventually { at.place.exists(at.place.workspace + "/gone") })
    try at.answer(call, allow: true)
    #expect(running.finish(timeout: .seconds(20)).output == "")
    #expect(try at.reasons("ask-id") == ["deny the call meant something else than what was approved"])
  }

  @Test(arguments: Caller.allCases)
  func `a thousand calls at once: the limit is held, and others go on`(caller: Caller) throws {
    let at = try Approving(as: caller, config: "limits: {approvals: 10}\n")
    let flood = """
      import os, threading, time
      count = [0]
      def one():
          try: os.open('\(at.asked)/a', 0)
          except PermissionError: count[0] += 1
      threads = [threading.Thread(target=one, daemon=True) for _ in range(1000)]
      for thread in threads: thread.start()
      while count[0] < 990: time.sleep(0.01)
      print(count[0], open('\(at.free)/f').read().strip(), flush=True)
      time.sleep(60)
      """
    let file = try at.place.write(flood, to: at.place.workspace + "/flood.py")
    let running = try at.start("python3 \(file)")
    #expect(
      eventually(within: .seconds(60)) { running.outputSoFar == "990 free\n" }, "\(running.outputSoFar)")
    #expect(try at.held(10).count == 10)
    let reasons = try at.reasons("ask-file")
    #expect(reasons.count == 990 && Set(reasons) == ["deny too many approvals wait (limits.approvals)"])
    // Another session of the same user's has no room of its own, and its other calls go on.
    let other = try at.start("cat \(at.free)/f; cat \(at.asked)/b").finish(timeout: .seconds(20))
    #expect(other.output == "free\n" && other.status == 1, "\(other)")
    running.signal(SIGTERM)
    _ = running.finish(timeout: .seconds(20))
    #expect(try at.held(0).isEmpty)
  }

  @Test(arguments: Caller.allCases) func `the daemon dies: denied in time`(caller: Caller) throws {
    let at = try Approving(as: caller, seconds: 3)
    let started = ContinuousClock.now
    let running = try at.start("cat \(at.asked)/a; echo $?")
    _ = try at.held()
    for pid in at.place.daemons { kill(pid, SIGKILL) }
    #expect(running.finish(timeout: .seconds(20)).output == "1\n")
    #expect(ContinuousClock.now - started < .seconds(8))
  }

  @Test(arguments: Caller.allCases)
  func `a daemon that comes back is asked again, and can answer`(caller: Caller) throws {
    let at = try Approving(as: caller)
    let running = try at.start("cat \(at.asked)/a")
    let before = try at.held()[0]
    for pid in at.place.daemons { kill(pid, SIGKILL) }
    #expect(eventually { at.place.daemons.isEmpty })
    try #require(at.place.agentsh(["session", "create"]).succeeded)
    let after = try at.held()[0]
    #expect(after["id"] as? String != before["id"] as? String)
    #expect(after["target"] as? String == before["target"] as? String)
    try at.answer(after, allow: true)
    #expect(running.finish(timeout: .seconds(20)).output == "a of asked\n")
  }

  @Test(arguments: Caller.allCases) func `an agent approves nothing, and sees nothing of it`(caller: Caller)
    throws
  {
    let at = try Approving(as: caller)
    let agentsh = try Programs.agentsh()
    let running = try at.start(
      "cat \(at.asked)/a & sleep 1; \(agentsh) approve list; \(agentsh) approve resolve x --allow; kill $!; wait"
    )
    _ = try at.held()
    let outcome = running.finish(timeout: .seconds(20))
    #expect(outcome.output == "", "\(outcome)")
  }

  @Test(arguments: Caller.allCases) func `one's own daemon says no where it is told to`(caller: Caller) throws
  {
    let at = try Approving(as: caller, config: "approvals: {self_approve: false, timeout: 2s}\n")
    let running = try at.start("cat \(at.asked)/a")
    let call = try at.held()[0]
    let refused = try at.answer(call, allow: true)
    #expect(!refused.succeeded && refused.errors.contains("somebody else"), "\(refused)")
    #expect(try at.answer(call, allow: false).succeeded)
    #expect(!running.finish(timeout: .seconds(20)).succeeded)
  }

  @Test(arguments: Caller.allCases) func `the agent itself may have to be approved`(caller: Caller) throws {
    let at = try Approving(as: caller)
    for allow in [true, false] {
      let running = try at.place.start(at.place.wrapping(["id", "-u"], policy: at.policy))
      let call = try at.held()[0]
      #expect(call["kind"] as? String == "command")
      #expect((call["fields"] as? [String: Any])?["args"] as? [String] == ["-u"])
      // Nothing is written on the agent's terminal while it waits.
      #expect(running.outputSoFar == "" && running.errorsSoFar == "")
      try at.answer(call, allow: allow)
      let outcome = running.finish(timeout: .seconds(20))
      #expect(outcome.output == (allow ? "\(caller.uid)\n" : ""), "\(outcome)")
      if !allow { #expect(outcome.status == 126 && outcome.errors.contains("ask-id"), "\(outcome)") }
    }
  }
}
