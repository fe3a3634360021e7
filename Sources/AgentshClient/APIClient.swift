package import AgentshAPI
import AgentshWire
import FoundationEssentials
package import LinuxSystem

/// The API over one connection. Calls block; every error says cause and way out.
package struct APIClient {
  private let connection: HTTPConnection
  /// Path of the socket.
  package let socket: String
  /// Who answers.
  package let peer: UnixSocket.Peer

  package init(connection: HTTPConnection, socket: String, peer: UnixSocket.Peer) {
    self.connection = connection
    self.socket = socket
    self.peer = peer
  }

  package func createSession(_ request: CreateSessionRequest) throws(ClientError) -> Session {
    try decode(createSessionJSON(request))
  }

  /// As `createSession`, with the answer as the daemon wrote it.
  package func createSessionJSON(_ request: CreateSessionRequest) throws(ClientError) -> [UInt8] {
    try call(HTTPRequest(.post, Route.sessions, body: try encode(request)), expecting: 201)
  }

  package func session(_ id: String) throws(ClientError) -> Session { try decode(get(Route.session(id))) }

  package func deleteSession(_ id: String) throws(ClientError) {
    _ = try call(HTTPRequest(.delete, Route.session(id)), expecting: 204)
  }

  package func wrapInit(_ id: String, _ request: WrapInitRequest) throws(ClientError) -> WrapInitResponse {
    try decode(call(HTTPRequest(.post, Route.wrapInit(id), body: try encode(request)), expecting: 200))
  }

  /// Asks for session and wrap-init in one exchange; `launched` is due next, also in a child of this process instead of it.
  package func askLaunch(_ request: StartRequest) throws(ClientError) {
    try connection.ask(
      HTTPRequest(.post, Route.launches, body: request.wire, bodyType: StartRequest.mediaType))
  }

  /// Waits for the answer. nil: the daemon does not know it (upstream's, an older one), or no such session, which the two
  /// requests then say.
  package func launched() throws(ClientError) -> StartResponse? {
    let answer = try connection.answer()
    if answer.status == 404 || answer.status == 405 { return nil }
    guard answer.status == 200 else { throw refusal(answer) }
    do throws(WireError) { return try StartResponse(wire: answer.body) } catch {
      throw .unexpected("\(error)")
    }
  }

  package func testPolicy(_ request: PolicyTestRequest) throws(ClientError) -> PolicyTestResponse {
    try decode(call(HTTPRequest(.post, Route.policyTest, body: try encode(request)), expecting: 200))
  }

  package func approvals() throws(ClientError) -> [WaitingApproval] { try decode(get(Route.approvals)) }

  package func resolveApproval(_ id: String, _ request: ResolveApprovalRequest) throws(ClientError) {
    _ = try call(HTTPRequest(.post, Route.approval(id), body: try encode(request)), expecting: 200)
  }

  package func policies() throws(ClientError) -> PolicyList { try decode(get(Route.policies)) }

  package func health() throws(ClientError) -> HealthStatus { try decode(get(Route.health)) }

  /// The body of a 200, as the daemon wrote it.
  package func get(_ target: String) throws(ClientError) -> [UInt8] {
    try call(HTTPRequest(.get, target), expecting: 200)
  }

  /// Server-sent events as they come, until the daemon ends them.
  package func stream(
    _ target: String, _ sink: @escaping ([UInt8]) -> Void
  ) throws(ClientError) {
    let answer = try connection.stream(HTTPRequest(.get, target, accept: "text/event-stream"), sink)
    if answer.status != 200 { throw refusal(answer) }
  }

  private func call(_ request: HTTPRequest, expecting status: Int) throws(ClientError) -> [UInt8] {
    let answer = try connection.send(request)
    guard answer.status == status else { throw refusal(answer) }
    return answer.body
  }

  private func refusal(_ answer: HTTPAnswer) -> ClientError {
    guard answer.status >= 400 else { return .unexpected("status \(answer.status)") }
    if let body = try? JSONDecoder().decode(ErrorBody.self, from: Data(answer.body)) {
      return .refused(status: answer.status, body)
    }
    return .refused(
      status: answer.status, ErrorBody(error: "the daemon answered with status \(answer.status)"))
  }

  private func encode(_ value: some Encodable) throws(ClientError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    do { return Array(try encoder.encode(value)) } catch { throw .unexpected("request: \(error)") }
  }

  private func decode<T: Decodable>(_ bytes: [UInt8]) throws(ClientError) -> T {
    do { return try JSONDecoder().decode(T.self, from: Data(bytes)) } catch {
      throw .unexpected("\(T.self): \(error)")
    }
  }
}
