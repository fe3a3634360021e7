import AgentshPolicy
import AgentshWire
import CLinux
import Foundation
import Testing

/// wrap-init, hand-off and channel, with real sockets, a real listener and a supervisor that the test plays.
@Suite struct LaunchTests {
  private struct Started {
    let daemon: TestDaemon
    let session: String
    let launcher: FakeLauncher
    let listener: Connection
    let socket: String
    let token: [UInt8]

    var supervise: [UInt8] { HandoffMessage.supervise(pid: launcher.pid, token: token).bytes }

    /// `supervise` after `prepare`, unless told otherwise.
    func handOff(_ message: [UInt8]? = nil) async throws -> (answer: UInt8?, FakeSupervisor) {
      try await FakeSupervisor.handOff(
        message ?? supervise, [listener.number], to: socket,
        preparingWith: message?.first == HandoffMessage.currentMark ? nil : token)
    }

    /// Up to `ready`.
    func run() async throws -> (FakeSupervisor, Welcome) {
      let (answer, supervisor) = try await handOff()
      guard answer == 1 else { throw Problem("rejected") }
      guard let welcome = supervisor.welcome else { throw Problem("no welcome") }
      try await supervisor.send(
        frame(.ready, Ready(supervisorPid: getpid(), targetPid: launcher.pid, degraded: ["no cgroup"])))
      try await daemon.waitForEvent("supervisor_ready", in: session)
      return (supervisor, welcome)
    }
  }

  private func start(
    supervise: Bool = true, script: String = "exit 1",
    launcher: (TestDaemon) -> [String] = { _ in ["/bin/sleep", "100"] }
  ) async throws -> Started {
    let daemon = try await TestDaemon(supervisorScript: script)
    let session = try await daemon.createSession()
    let answer = try await daemon.send(
      "POST", "/api/v1/sessions/\(session)/wrap-init",
      #"{"agent_command":"/bin/true","agent_args":["x"],"caller_uid":\#(getuid()),"supervise":\#(supervise)}"#
    )
    guard answer.status == 200, let socket = answer.json["notify_socket"] as? String,
      let token = answer.json["handoff_token"] as? String
    else { throw Problem(answer.text) }
    #expect(answer.json["supervise"] as? Bool == supervise)
    #expect((answer.json["wrapper_env"] as? [String: String])?[LauncherVariables.plan]?.isEmpty == false)
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: token.count, by: 2) {
      let start = token.index(token.startIndex, offsetBy: index)
      bytes.append(try #require(UInt8(token[start..<token.index(start, offsetBy: 2)], radix: 16)))
    }
    return Started(
      daemon: daemon, session: session, launcher: try FakeLauncher(launcher(daemon)),
      listener: try await makeListener(),
      socket: socket, token: bytes)
  }

  @Test func `a supervisor asks, is answered, and takes back what it holds no more`() async throws {
    let started = try await start()
    let (supervisor, _) = try await started.run()
    func ask(_ number: UInt64, target: String = "/x") async throws {
      try await supervisor.send(
        frame(
          .approvalRequest,
          ApprovalRequest(
            number: number, kind: .file, milliseconds: 60_000, pid: 7, list: 0, rule: 0, operation: "delete",
            target: target, other: "", command: "rm", arguments: [])))
    }
    func waiting(_ count: Int) async throws -> [[String: Any]] {
      for _ in 0..<500 {
        let text = try await started.daemon.send("GET", "/api/v1/approvals").text
        let list = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]] ?? []
        if list.count == count { return list }
        try await Task.sleep(for: .milliseconds(10))
      }
      throw Problem("not \(count)")
    }
    for (word, expected) in [("approve", ApprovalAnswer.Word.approved), ("deny", .denied)] {
      try await ask(expected == .approved ? 1 : 2)
      let id = try #require(try await waiting(1)[0]["id"] as? String)
      let body = "{\"decision\":\"\(word)\",\"reason\":\"r\"}"
      #expect(try await started.daemon.send("POST", "/api/v1/approvals/\(id)", body).text == #"{"ok":true}"#)
      let answer = try await supervisor.expect(.approvalAnswer, ApprovalAnswer.self)
      #expect(answer == ApprovalAnswer(number: expected == .approved ? 1 : 2, word: expected))
      let again = try await started.daemon.send("POST", "/api/v1/approvals/\(id)", body)
      #expect(again.status == 404 && again.text.contains("approval not found"))
    }
    try await ask(3)
    _ = try await waiting(1)
    try await supervisor.send(frame(.approvalWithdrawn, ApprovalWithdrawal(number: 3, cause: .cancelled)))
    _ = try await waiting(0)
    // What is no question of a supervisor of ours ends the connection, and takes with it what waited.
    try await ask(4)
    _ = try await waiting(1)
    try await ask(4)
    #expect(try await supervisor.receive() == nil)
    _ = try await waiting(0)
    await started.daemon.stop()
  }

  @Test func `a question that is longer than any ends the connection`() async throws {
    let started = try await start()
    let (supervisor, _) = try await started.run()
    var request = ApprovalRequest(
      number: 1, kind: .file, milliseconds: 1, pid: 7, list: 0, rule: 0, operation: "", target: "", other: "",
      command: "", arguments: [])
    request.target = String(repeating: "x", count: ApprovalRequest.sizeLimit)
    try await supervisor.send(frame(.approvalRequest, request))
    #expect(try await supervisor.receive() == nil)
    await started.daemon.stop()
  }

  @Test func `directory and socket of a hand-off are the caller's alone`() async throws {
    let started = try await start()
    var status = stat()
    #expect(lstat(started.socket, &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o600)
    #expect(lstat((started.socket as NSString).deletingLastPathComponent, &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o700)
    await started.daemon.stop()
  }

  @Test func `a launch goes from hand-off to its end, and every step is an event`() async throws {
    let started = try await start()
    let (supervisor, welcome) = try await started.run()
    #expect(welcome.sessionID == started.session)
    #expect(welcome.workspace == started.daemon.workspace)
    #expect(welcome.policy.main.floor.contains(started.daemon.scratch + "/run/agentsh"))
    #expect(!FileManager.default.fileExists(atPath: started.socket))
    try await supervisor.send(
      frame(.events, EventBatch(first: 1, records: [fileRecord("/a"), fileRecord("/b", denied: true)])))
    #expect(try await supervisor.expect(.stored, UInt64.self) == 2)
    #expect(
      try await started.daemon.send("GET", "/api/v1/sessions/\(started.session)").json["state"] as? String
        == "running")
    try await supervisor.send(frame(.finished, Finished(exitCode: 3, denied: 1)))
    try await started.daemon.waitForEvent("session_finished", in: started.session)
    #expect(
      try await started.daemon.eventTypes(started.session)
        == ["session_created", "wrap_init", "supervisor_ready", "file_open", "file_open", "session_finished"])
    let denied = try await started.daemon.send("GET", "/api/v1/events/search?decision=deny").list
    #expect(denied.map { $0["path"] as? String } == ["/b"])
    await started.daemon.stop()
  }

  @Test func `a process below a recorded launcher is inside`() async throws {
    let client = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "fixtures/wrap_client.py").path
    let ask = "/usr/bin/python3 -B \(client) api GET /api/v1/sessions"
    let started = try await start(launcher: { daemon in
      let script = """
        export AGENTSH_SOCKET=\(daemon.socket); cd \(daemon.scratch); \(ask) >before
        while [ ! -e go ]; do sleep 0.02; done; \(ask) >inside; sleep 100
        """
      return ["/bin/sh", "-c", script]
    })
    func said(_ name: String) async throws -> String {
      for _ in 0..<250 {
        if let text = try? String(contentsOfFile: "\(started.daemon.scratch)/\(name)", encoding: .utf8),
          text.hasSuffix("}\n")
        {
          return text
        }
        try await Task.sleep(for: .milliseconds(20))
      }
      throw Problem("nothing in \(name)")
    }
    // As long as nothing was handed over, a child of ours is a client like another.
    #expect(try await said("before").contains("\"status\": 200"))
    _ = try await started.run()
    try Data().write(to: URL(filePath: started.daemon.scratch + "/go"))
    #expect(try await said("inside").contains("inside_session"))
    await started.daemon.stop()
  }

  @Test func `a batch that comes twice is stored once`() async throws {
    let started = try await start()
    let (supervisor, _) = try await started.run()
    for _ in 0..<2 {
      try await supervisor.send(frame(.events, EventBatch(first: 1, records: [fileRecord("/a")])))
      #expect(try await supervisor.expect(.stored, UInt64.self) == 1)
    }
    #expect(try await started.daemon.eventTypes(started.session).filter { $0 == "file_open" }.count == 1)
    await started.daemon.stop()
  }

  @Test func `what was confirmed is in the next answer, and leaves nothing in the intake in the end`()
    async throws
  {
    let started = try await start()
    let (supervisor, _) = try await started.run()
    for number in UInt64(1)...20 {
      try await supervisor.send(
        frame(.events, EventBatch(first: number, records: [fileRecord("/\(number)", denied: true)])))
      #expect(try await supervisor.expect(.stored, UInt64.self) == number)
      let found = try await started.daemon.send("GET", "/api/v1/events/search?decision=deny&limit=1").list
      #expect(found.first?["path"] as? String == "/\(number)")
    }
    let intake = started.daemon.scratch + "/home/.local/state/agentsh/intake"
    #expect(try FileManager.default.contentsOfDirectory(atPath: intake).count == 2)
    try await supervisor.send(frame(.finished, Finished(exitCode: 0, denied: 20)))
    try await started.daemon.waitForEvent("session_finished", in: started.session)
    await started.daemon.stop()
    #expect(try FileManager.default.contentsOfDirectory(atPath: intake).isEmpty)
    let lines = try String(
      contentsOfFile: started.daemon.scratch + "/home/.local/state/agentsh/events.jsonl", encoding: .utf8)
    #expect(lines.split(separator: "\n").count == 24)
  }

  @Test func `a follower of the events has them as they are confirmed`() async throws {
    let started = try await start()
    let (supervisor, _) = try await started.run()
    let stream = try connect(started.daemon.socket)
    try write(
      Array("GET /api/v1/sessions/\(started.session)/events HTTP/1.1\r\nHost: x\r\n\r\n".utf8), stream)
    try await expect(": agentsh", from: stream)
    for number in UInt64(1)...3 {
      try await supervisor.send(
        frame(.events, EventBatch(first: number, records: [fileRecord("/f\(number)")])))
      #expect(try await supervisor.expect(.stored, UInt64.self) == number)
      try await expect(#""path":"/f\#(number)""#, from: stream)
    }
    await started.daemon.stop()
  }

  private func expect(_ text: String, from stream: Connection) async throws {
    try await blocking {
      var bytes: [UInt8] = []
      while !String(decoding: bytes, as: UTF8.self).contains(text) {
        guard let more = try read(1, stream) else { throw Problem("the stream ended") }
        bytes += more
      }
    }
  }

  @Test func `what is wrong is rejected, and the right one is served after it`() async throws {
    let started = try await start()
    let file = open("/dev/null", O_RDONLY)
    defer { close(file) }
    var wrongToken = started.token
    wrongToken[0] ^= 1
    let listener = started.listener.number
    let wrong: [(String, [UInt8], [Int32])] = [
      (
        "a wrong token", HandoffMessage.supervise(pid: started.launcher.pid, token: wrongToken).bytes,
        [listener]
      ),
      ("two descriptors", started.supervise, [listener, listener]),
      ("no descriptor", started.supervise, []),
      ("another file", started.supervise, [file]),
      ("half a message", Array(started.supervise.prefix(9)), [listener]),
      ("another mark", [0x55, 1, 2, 3], [listener]),
    ]
    for (what, message, descriptors) in wrong {
      let (answer, _) = try await FakeSupervisor.handOff(
        message, descriptors, to: started.socket, preparingWith: started.token)
      #expect(answer == 0, "\(what)")
    }
    let prepare = HandoffMessage.prepare(token: started.token).bytes
    let unprepared: [(String, [UInt8], [Int32])] = [
      ("not prepared", started.supervise, [listener]),
      ("prepared with a wrong token", HandoffMessage.prepare(token: wrongToken).bytes, []),
      ("prepared with a descriptor", prepare, [listener]),
    ]
    for (what, message, descriptors) in unprepared {
      let (answer, _) = try await FakeSupervisor.handOff(message, descriptors, to: started.socket)
      #expect(answer == 0, "\(what)")
    }
    let (again, _) = try await FakeSupervisor.handOff(
      prepare, [], to: started.socket, preparingWith: started.token)
    #expect(again == 0)
    // Silent and unfinished connections hold nobody up.
    let silent = try connect(started.socket)
    // Nor do so many of them take the place of who has prepared.
    let (answer, supervisor) = try await FakeSupervisor.handOff(
      started.supervise, [listener], to: started.socket, preparingWith: started.token
    ) { _ = try (0..<64).map { _ in try connect(started.socket) } }
    #expect(answer == 1 && supervisor.welcome != nil)
    withExtendedLifetime(silent) {}
    #expect(
      try await started.daemon.eventTypes(started.session).filter { $0 == "handoff_refused" }.count
        == wrong.count + unprepared.count + 1)
    await started.daemon.stop()
  }

  @Test func `a pid that is not the peer's child ends the launch`() async throws {
    let started = try await start()
    let (answer, _) = try await started.handOff(
      HandoffMessage.supervise(pid: getpid(), token: started.token).bytes)
    #expect(answer == 0)
    try await started.daemon.waitForEvent("supervisor_failed", in: started.session)
    #expect(!FileManager.default.fileExists(atPath: started.socket))
    await started.daemon.stop()
  }

  @Test func `a frame that is not due ends the connection, not the session`() async throws {
    for bad in [[255, 255, 255, 255, 17], frame(.welcome, "x"), frame(.hello, "x"), [1, 0, 0, 0, 99, 0]]
      as [[UInt8]]
    {
      let started = try await start()
      let (supervisor, _) = try await started.run()
      try await supervisor.send(bad)
      #expect(try await supervisor.receive() == nil)
      try await started.daemon.waitForEvent("supervisor_detached", in: started.session)
      #expect(started.launcher.isRunning)
      await started.daemon.stop()
    }
  }

  @Test func `events before ready are refused`() async throws {
    let started = try await start()
    let (_, supervisor) = try await started.handOff()
    try await supervisor.send(frame(.events, EventBatch(first: 1, records: [fileRecord("/a")])))
    #expect(try await supervisor.receive() == nil)
    try await started.daemon.waitForEvent("supervisor_failed", in: started.session)
    await started.daemon.stop()
  }

  @Test func `a supervisor comes back with its key, and only with it`() async throws {
    let started = try await start()
    let (supervisor, welcome) = try await started.run()
    try await supervisor.send(frame(.events, EventBatch(first: 1, records: [fileRecord("/a")])))
    #expect(try await supervisor.expect(.stored, UInt64.self) == 1)
    shutdown(supervisor.connection.number, Int32(SHUT_RDWR))
    try await started.daemon.waitForEvent("supervisor_detached", in: started.session)

    var wrongKey = welcome.reattachKey
    wrongKey[5] ^= 1
    let stranger = FakeSupervisor(connection: try connect(started.daemon.supervisorSocket))
    try await stranger.send(
      frame(.hello, Hello(sessionID: started.session, supervisorPid: getpid(), reattachKey: wrongKey)))
    #expect(try await stranger.receive() == nil)

    try await reattach(started.daemon, started.session, welcome)
    await started.daemon.stop()
  }

  @Test func `a daemon that starts again takes its supervisors back`() async throws {
    let started = try await start()
    let (_, welcome) = try await started.run()
    let again = try await started.daemon.restarted()
    #expect(
      try await again.send("GET", "/api/v1/sessions/\(started.session)").json["state"] as? String == "running"
    )
    try await reattach(again, started.session, welcome)
    await again.stop()
  }

  private func reattach(_ daemon: TestDaemon, _ session: String, _ welcome: Welcome) async throws {
    let back = FakeSupervisor(connection: try connect(daemon.supervisorSocket))
    try await back.send(
      frame(.hello, Hello(sessionID: session, supervisorPid: getpid(), reattachKey: welcome.reattachKey)))
    try await back.send(frame(.events, EventBatch(first: 2, records: [fileRecord("/b")])))
    var last: UInt64 = 0
    while last < 2 { last = try await back.expect(.stored, UInt64.self) }
    try await back.send(frame(.finished, Finished(exitCode: 0, denied: 0)))
    try await daemon.waitForEvent("session_finished", in: session)
    #expect(try await daemon.eventTypes(session).contains("supervisor_reattached"))
  }

  @Test func `deleting a session asks the supervisor to end it`() async throws {
    let started = try await start()
    let (supervisor, _) = try await started.run()
    async let deleted = started.daemon.send("DELETE", "/api/v1/sessions/\(started.session)")
    _ = try await supervisor.expect(.end, String.self)
    try await supervisor.send(frame(.finished, Finished(exitCode: 143, denied: 0)))
    #expect(try await deleted.status == 204)
    #expect(try await started.daemon.send("GET", "/api/v1/sessions/\(started.session)").status == 404)
    #expect(try await started.daemon.eventTypes(started.session).last == "session_destroyed")
    await started.daemon.stop()
  }

  @Test
  func `for a client of the old protocol the daemon starts the supervisor, and answers when it is ready`()
    async throws
  {
    // ready: 12 bytes; finished: 12 bytes.
    let script = #"""
      printf '\014\0\0\0\020\001\0\0\0\001\0\0\0\0\0\0\0' >&3
      sleep 0.3
      printf '\014\0\0\0\022\007\0\0\0\0\0\0\0\0\0\0\0' >&3
      sleep 0.1
      """#
    let started = try await start(supervise: false, script: script)
    let (answer, _) = try await started.handOff(
      HandoffMessage.current(pid: started.launcher.pid, token: nil).bytes)
    #expect(answer == 1)
    try await started.daemon.waitForEvent("session_finished", in: started.session)
    await started.daemon.stop()
  }

  @Test func `a supervisor that cannot start is a rejection`() async throws {
    let started = try await start(supervise: false, script: "exit 3")
    let (answer, _) = try await started.handOff(
      HandoffMessage.current(pid: started.launcher.pid, token: nil).bytes)
    #expect(answer == 0)
    try await started.daemon.waitForEvent("supervisor_failed", in: started.session)
    await started.daemon.stop()
  }

  @Test func `a supervisor that dies takes its tree with it`() async throws {
    let script = #"""
      printf '\014\0\0\0\020\001\0\0\0\001\0\0\0\0\0\0\0' >&3
      sleep 0.2
      kill -KILL $$
      """#
    let started = try await start(supervise: false, script: script)
    let (answer, _) = try await started.handOff(
      HandoffMessage.current(pid: started.launcher.pid, token: nil).bytes)
    #expect(answer == 1)
    try await started.daemon.waitForEvent("supervisor_lost", in: started.session)
    for _ in 0..<100 where started.launcher.isRunning { try await Task.sleep(for: .milliseconds(20)) }
    #expect(!started.launcher.isRunning)
    await started.daemon.stop()
  }
}
