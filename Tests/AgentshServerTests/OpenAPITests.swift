import AgentshAPI
import AgentshServer
import Foundation
import Testing

/// The description and the routes are the same list.
@Suite struct OpenAPITests {
  /// (method, path) → statuses, read from docs/openapi.yaml by its indentation.
  private static let described: [String: Set<Int>] = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    guard let text = try? String(contentsOf: root.appending(path: "docs/openapi.yaml"), encoding: .utf8)
    else {
      return [:]
    }
    var result: [String: Set<Int>] = [:]
    var inPaths = false
    var path = ""
    var operation = ""
    for line in text.split(separator: "\n") {
      let indent = line.prefix { $0 == " " }.count
      let word = line.dropFirst(indent)
      if indent == 0 { inPaths = word == "paths:" }
      guard inPaths else { continue }
      if indent == 2 { path = String(word.dropLast()) }
      if indent == 4, ["get:", "post:", "delete:", "put:", "patch:"].contains(word) {
        operation = "\(word.dropLast().uppercased()) \(path)"
        result[operation] = []
      }
      if indent == 8, word.hasPrefix("\""), let status = Int(word.dropFirst().prefix(3)) {
        result[operation]?.insert(status)
      }
    }
    return result
  }()

  @Test func `every route is described, and everything described is a route`() {
    #expect(Set(AgentshDaemon.routes) == Set(Self.described.keys))
    #expect(Set(AgentshDaemon.routes) == Set(Route.all.map { "\($0.method) \($0.path)" }))
  }

  @Test func `a status that the daemon gives is described`() async throws {
    let daemon = try await TestDaemon()
    let id = try await daemon.createSession()
    let ws = daemon.workspace
    let asked: [(String, String, String, String)] = [
      ("GET", "/health", "/health", ""), ("GET", "/ready", "/ready", ""),
      ("POST", "/api/v1/sessions", "/api/v1/sessions", "{\"workspace\":\"\(ws)\"}"),
      ("POST", "/api/v1/sessions", "/api/v1/sessions", "{\"workspace\":\"\(ws)\",\"id\":\"\(id)\"}"),
      ("POST", "/api/v1/sessions", "/api/v1/sessions", "{"),
      ("POST", "/api/v1/sessions", "/api/v1/sessions", String(repeating: " ", count: (4 << 20) + 1)),
      ("GET", "/api/v1/sessions", "/api/v1/sessions", ""),
      ("GET", "/api/v1/sessions/\(id)", "/api/v1/sessions/{id}", ""),
      ("GET", "/api/v1/sessions/none", "/api/v1/sessions/{id}", ""),
      (
        "POST", "/api/v1/sessions/\(id)/wrap-init", "/api/v1/sessions/{id}/wrap-init",
        #"{"agent_command":"/bin/true"}"#
      ),
      (
        "POST", "/api/v1/sessions/\(id)/wrap-init", "/api/v1/sessions/{id}/wrap-init",
        #"{"agent_command":"x"}"#
      ),
      ("POST", "/api/v1/launches", "/api/v1/launches", "{}"),
      ("GET", "/api/v1/sessions/\(id)/history", "/api/v1/sessions/{id}/history", ""),
      ("GET", "/api/v1/sessions/none/history", "/api/v1/sessions/{id}/history", ""),
      ("GET", "/api/v1/sessions/\(id)/history?limit=0", "/api/v1/sessions/{id}/history", ""),
      ("GET", "/api/v1/sessions/none/events", "/api/v1/sessions/{id}/events", ""),
      ("GET", "/api/v1/events/search", "/api/v1/events/search", ""),
      ("GET", "/api/v1/events/search?x=1", "/api/v1/events/search", ""),
      ("POST", "/api/v1/policy/test", "/api/v1/policy/test", #"{"operation":"exec","path":"/bin/true"}"#),
      ("POST", "/api/v1/policy/test", "/api/v1/policy/test", "x"),
      ("GET", "/api/v1/policies", "/api/v1/policies", ""),
      ("GET", "/api/v1/approvals", "/api/v1/approvals", ""),
      ("POST", "/api/v1/approvals/none", "/api/v1/approvals/{id}", #"{"decision":"approve"}"#),
      ("POST", "/api/v1/approvals/none", "/api/v1/approvals/{id}", #"{"decision":"allow"}"#),
      ("DELETE", "/api/v1/sessions/\(id)", "/api/v1/sessions/{id}", ""),
      ("DELETE", "/api/v1/sessions/\(id)", "/api/v1/sessions/{id}", ""),
    ]
    for (method, path, template, body) in asked {
      let answer = try await daemon.send(method, path, body)
      #expect(
        Self.described["\(method) \(template)"]?.contains(answer.status) == true,
        "\(method) \(path): \(answer.status) is not described")
    }
    await daemon.stop()
  }
}
