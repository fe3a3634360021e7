import AgentshAPI
import Foundation
import Testing

@Suite struct HTTPTests {
  @Test func `sessions are made, shown, listed and deleted`() async throws {
    let daemon = try await TestDaemon()
    #expect(try await daemon.send("GET", "/health").text == "ok\n")
    #expect(try await daemon.send("GET", "/ready").text == "ready\n")
    let id = try await daemon.createSession(",\"id\":\"s-1\"")
    #expect(id == "s-1")
    let shown = try await daemon.send("GET", "/api/v1/sessions/s-1").json
    #expect(shown["state"] as? String == "ready")
    #expect(shown["workspace"] as? String == daemon.workspace)
    #expect(shown["policy"] as? String == "agent-default")
    #expect(shown["cwd"] as? String == "/workspace")
    #expect(try await daemon.send("GET", "/api/v1/sessions").list.count == 1)
    let health = try await daemon.send("GET", "/health", headers: ["Accept: application/json"]).json
    #expect(health["sessions"] as? Int == 1)
    #expect(try await daemon.send("DELETE", "/api/v1/sessions/s-1").status == 204)
    #expect(try await daemon.send("DELETE", "/api/v1/sessions/s-1").status == 404)
    #expect(try await daemon.eventTypes("s-1") == ["session_created", "session_destroyed"])
    await daemon.stop()
  }

  @Test func `bad requests get a status, a code and a cause`() async throws {
    let daemon = try await TestDaemon()
    let ws = daemon.workspace
    _ = try await daemon.createSession(",\"id\":\"taken\"")
    let wrong: [(String, Int, String, String)] = [
      ("{", 400, "bad_request", ""),
      ("{}", 400, "bad_request", "workspace"),
      ("{\"workspace\":\"\(ws)\",\"colour\":1}", 400, "bad_request", "colour"),
      ("{\"workspace\":\"ws\"}", 400, "workspace", "absolute"),
      ("{\"workspace\":\"\(ws)/none\"}", 400, "workspace", "does not exist"),
      ("{\"workspace\":\"/etc/passwd\"}", 400, "workspace", "not a directory"),
      ("{\"workspace\":\"\(ws)\",\"policy\":\"none\"}", 400, "policy_not_found", "none"),
      ("{\"workspace\":\"\(ws)\",\"policy\":\"../x\"}", 400, "policy_not_found", "../x"),
      ("{\"workspace\":\"\(ws)\",\"policy_text\":\"version: x\"}", 400, "policy_invalid", "1:"),
      ("{\"workspace\":\"\(ws)\",\"id\":\"a/b\"}", 400, "bad_request", "a/b"),
      ("{\"workspace\":\"\(ws)\",\"id\":\"taken\"}", 409, "exists", "taken"),
      ("{\"workspace\":\"\(ws)\",\"home\":\"/root\"}", 400, "bad_request", "home"),
      ("{\"workspace\":\"\(ws)\",\"profile\":\"x\"}", 400, "bad_request", "profile"),
    ]
    for (body, status, code, word) in wrong {
      let answer = try await daemon.send("POST", "/api/v1/sessions", body)
      #expect(answer.status == status, "\(body): \(answer.text)")
      #expect(answer.code == code, "\(body): \(answer.text)")
      #expect(word.isEmpty || answer.error.contains(word), "\(body): \(answer.text)")
    }
    #expect(try await daemon.send("GET", "/api/v1/sessions").list.count == 1)
    await daemon.stop()
  }

  @Test func `wrap-init refuses what is not right`() async throws {
    let daemon = try await TestDaemon()
    let id = try await daemon.createSession()
    let wrong: [(String, Int, String)] = [
      (#"{"agent_command":"true","agent_args":[]}"#, 400, "bad_request"),
      (#"{"agent_command":"/bin/true","agent_args":[],"caller_uid":-1}"#, 400, "bad_request"),
      (#"{"agent_command":"/bin/true","agent_args":[],"caller_uid":4242}"#, 403, "forbidden"),
      (#"{"agent_command":"/bin/true","agent_args":["a\u0000b"]}"#, 400, "bad_request"),
      (#"{"agent_command":"/bin/true","agent_args":[],"mode":"other"}"#, 400, "bad_request"),
      (#"{"agent_command":"/usr/bin/sudo","agent_args":["ls"]}"#, 403, "command_denied"),
    ]
    for (body, status, code) in wrong {
      let answer = try await daemon.send("POST", "/api/v1/sessions/\(id)/wrap-init", body)
      #expect(answer.status == status, "\(body): \(answer.text)")
      #expect(answer.code == code, "\(body): \(answer.text)")
    }
    let body = #"{"agent_command":"/bin/true","agent_args":[]}"#
    #expect(try await daemon.send("POST", "/api/v1/sessions/none/wrap-init", body).status == 404)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: daemon.scratch + "/run/agentsh/handoff").isEmpty)
    await daemon.stop()
  }

  @Test func `events are found by query, and a bad query is an error`() async throws {
    let daemon = try await TestDaemon()
    let id = try await daemon.createSession()
    try await daemon.waitForEvent("session_created", in: id)
    for query in [
      "type=session_created", "type=x,session_created", "session_id=\(id)", "since=2020-01-01T00:00:00Z",
    ] {
      #expect(try await daemon.send("GET", "/api/v1/events/search?\(query)").list.count == 1, "\(query)")
    }
    #expect(try await daemon.send("GET", "/api/v1/events/search?until=2020-01-01T00:00:00Z").list.isEmpty)
    for query in [
      "limit=0", "limit=x", "limit=10001", "order=up", "since=yesterday", "colour=red", "session_id=a/b",
    ] {
      #expect(try await daemon.send("GET", "/api/v1/events/search?\(query)").status == 400, "\(query)")
    }
    #expect(try await daemon.send("GET", "/api/v1/sessions/none/history").status == 404)
    await daemon.stop()
  }

  @Test func `a stream shows events as they come and ends with the session`() async throws {
    let daemon = try await TestDaemon()
    let id = try await daemon.createSession()
    try await daemon.waitForEvent("session_created", in: id)
    async let stream = daemon.send("GET", "/api/v1/sessions/\(id)/events")
    try await Task.sleep(for: .milliseconds(300))
    #expect(try await daemon.send("DELETE", "/api/v1/sessions/\(id)").status == 204)
    let text = try await stream.text
    #expect(text.contains("event: session_destroyed\ndata: {\"id\":"))
    #expect(!text.contains("session_created"))
    await daemon.stop()
  }

  @Test func `a policy answers questions without a session`() async throws {
    let daemon = try await TestDaemon()
    let answer = try await daemon.send(
      "POST", "/api/v1/policy/test", #"{"operation":"file_write","path":"/etc/passwd"}"#)
    #expect(answer.json["decision"] as? String == "deny")
    #expect(
      try await daemon.send("POST", "/api/v1/policy/test", #"{"operation":"fly","path":"/"}"#).status == 400)
    let names = try await daemon.send("GET", "/api/v1/policies").json["policies"] as? [[String: Any]]
    #expect(names?.compactMap { $0["name"] as? String } == ["agent-default"])
    await daemon.stop()
  }

  @Test func `what does not exist and what is too large get their bodies`() async throws {
    let daemon = try await TestDaemon()
    let missing = try await daemon.send("GET", "/api/v2/x")
    #expect(missing.status == 404 && missing.code == "not_found")
    let large = String(repeating: " ", count: (4 << 20) + 1)
    #expect(try await daemon.send("POST", "/api/v1/sessions", large).status == 413)
    await daemon.stop()
  }

  @Test func `the operator bounds workspaces and policies`() async throws {
    let daemon = try await TestDaemon(
      config: "workspace_roots: [/nowhere]\npolicies: {allowed: [agent-default]}\n")
    let outside = try await daemon.send("POST", "/api/v1/sessions", "{\"workspace\":\"\(daemon.workspace)\"}")
    #expect(outside.status == 400 && outside.code == "workspace")
    await daemon.stop()
    let other = try await TestDaemon(config: "policies: {allowed: [agent-default]}\n")
    let named = try await other.send(
      "POST", "/api/v1/sessions", "{\"workspace\":\"\(other.workspace)\",\"policy\":\"x\"}")
    #expect(named.status == 403)
    let text = try await other.send(
      "POST", "/api/v1/sessions",
      "{\"workspace\":\"\(other.workspace)\",\"policy_text\":\"version: 1\\nname: x\\n\"}")
    // uid 0 may have whatever it likes.
    #expect(text.status == (getuid() == 0 ? 201 : 403))
    await other.stop()
  }

  @Test func `the daemon ends when it is told to, and leaves no sockets`() async throws {
    let daemon = try await TestDaemon()
    _ = try await daemon.createSession()
    #expect(await daemon.stop() == 0)
    #expect(!FileManager.default.fileExists(atPath: daemon.socket))
    #expect(!FileManager.default.fileExists(atPath: daemon.supervisorSocket))
  }
}
