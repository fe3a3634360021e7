import AgentshAPI
import AgentshClient
import LinuxSystem
import Testing

@Suite struct HTTPConnectionTests {
  private func client(_ server: ScriptedServer) throws -> APIClient {
    APIClient(
      connection: HTTPConnection(owning: server.client), socket: "/test",
      peer: UnixSocket.Peer(pid: 1, uid: 0))
  }

  private let session =
    #"{"id":"s1","state":"ready","created_at":"2026-11-23T17:14:03Z","workspace":"/w","policy":"p","cwd":"/w"}"#

  @Test func aRequestIsThePlainHTTPThatUpstreamServersRead() throws {
    let server = ScriptedServer([
      "HTTP/1.1 201 Created\r\nContent-Length: \(session.utf8.count)\r\n\r\n\(session)"
    ])
    let made = try client(server).createSession(CreateSessionRequest(workspace: "/w"))
    #expect(made.id == "s1")
    #expect(made.state == .ready)
    let request = server.transcript()
    // Request line; then the host, which nobody looks at; then what the body is.
    #expect(
      request.hasPrefix("POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"))
    #expect(request.contains("Content-Type: application/json\r\nContent-Length: 18\r\n\r\n"))
    #expect(request.hasSuffix(#"{"workspace":"\/w"}"#) || request.hasSuffix(#"{"workspace":"/w"}"#))
  }

  @Test func severalRequestsUseOneConnection() throws {
    let server = ScriptedServer([
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
      // In chunks: 1 byte, 1 byte, end.
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
    ])
    let api = try client(server)
    #expect(try api.get("/a") == Array("[]".utf8))
    #expect(try api.get("/b") == Array("{}".utf8))
    try api.deleteSession("s1")
    #expect(server.transcript().contains("DELETE /api/v1/sessions/s1 HTTP/1.1\r\n"))
  }

  @Test func aRefusalSaysWhatTheDaemonSaid() throws {
    let body = #"{"error":"no such session","code":"not_found","hint":"look at session list"}"#
    let server = ScriptedServer([
      "HTTP/1.1 404 Not Found\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    ])
    let api = try client(server)
    do throws(ClientError) {
      _ = try api.session("x")
      Issue.record("no error")
    } catch {
      #expect(error.description == "no such session")
      #expect(error.hint == "look at session list")
      #expect(error.code == .notFound)
    }
  }

  @Test func anAnswerThatIsCutIsAnError() throws {
    for answer in [
      "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "garbage\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    ] {
      let server = ScriptedServer([answer])
      let api = try client(server)
      #expect(throws: ClientError.self, "\(answer)") { try api.get("/") }
    }
  }

  @Test func anAnswerOfAnotherShapeIsAnError() throws {
    let server = ScriptedServer(["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"])
    let api = try client(server)
    #expect(throws: ClientError.self) { try api.session("x") }
  }

  @Test func aStreamIsHandedOnAsItComes() throws {
    let server = ScriptedServer([
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
    ])
    let sum = Collected()
    try client(server).stream("/api/v1/sessions/s1/events") { sum.add($0) }
    #expect(sum.text == "data: 1\n\ndata: 2\n\n")
    #expect(server.transcript().contains("Accept: text/event-stream\r\n"))
  }

  @Test func queriesAreEncoded() {
    #expect(queryString([("a", nil), ("b", nil)]).isEmpty)
    #expect(queryString([("path", "/a b/ü&c"), ("x", nil), ("y", "1")]) == "?path=%2Fa%20b%2F%C3%BC%26c&y=1")
  }
}
