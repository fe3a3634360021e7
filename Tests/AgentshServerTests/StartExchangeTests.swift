import AgentshAPI
import AgentshWire
import Foundation
import Testing

/// `POST /api/v1/launches`: session and wrap-init in one.
@Suite struct StartExchangeTests {
  private static func request(_ workspace: String, session: String? = nil) -> StartRequest {
    var create = CreateSessionRequest(workspace: workspace)
    create.policyText = "version: 1\nname: x\n"
    create.realPaths = true
    var start = WrapInitRequest(agentCommand: "/bin/true", agentArgs: ["a", "", "ü"])
    start.callerUID = 0
    start.supervise = true
    return StartRequest(session: session, create: create, wrapInit: start)
  }

  private static func bytes(_ value: some WireCodable) -> [UInt8] {
    var writer = WireWriter()
    writer.value(value)
    return writer.bytes
  }

  private func read<T: WireCodable>(_ bytes: [UInt8], as: T.Type) throws -> T {
    var reader = WireReader(bytes)
    let value = try reader.value(T.self)
    try reader.finish()
    return value
  }

  @Test func `request and answer come back as they were`() throws {
    let request = Self.request("/ws", session: "s")
    #expect(try read(Self.bytes(request), as: StartRequest.self) == request)
    var wrapInit = WrapInitResponse()
    wrapInit.notifySocket = "/run/x"
    wrapInit.wrapperEnv = ["B": "2", "A": "1"]
    wrapInit.envInject = [:]
    wrapInit.envPolicy = EnvironmentPolicy(allow: ["A*"], deny: nil, maxBytes: 10, maxKeys: nil)
    wrapInit.degraded = ["no"]
    wrapInit.supervise = false
    let answer = StartResponse(session: "s", wrapInit: wrapInit)
    #expect(try read(Self.bytes(answer), as: StartResponse.self) == answer)
  }

  @Test func `what is cut off, longer or of another version is refused`() throws {
    let whole = Self.bytes(Self.request("/ws"))
    for length in 0..<whole.count {
      #expect(throws: WireError.self) { try read(Array(whole[..<length]), as: StartRequest.self) }
    }
    #expect(throws: WireError.self) { try read(whole + [0], as: StartRequest.self) }
    #expect(throws: WireError.self) { try read([2] + whole.dropFirst(), as: StartRequest.self) }
  }

  private func launch(_ daemon: TestDaemon, _ bytes: [UInt8], type: String = StartRequest.mediaType)
    async throws -> Answer
  {
    try await daemon.send(
      "POST", Route.launches, bytes: bytes, headers: ["Content-Type: \(type)"])
  }

  @Test func `a start makes a session, or uses the one it names`() async throws {
    let daemon = try await TestDaemon()
    var wanted = Self.request(daemon.workspace)
    wanted.create.policyText = nil
    wanted.wrapInit.callerUID = Int64(getuid())
    let answer = try await launch(daemon, Self.bytes(wanted))
    #expect(answer.status == 200, "\(answer.text)")
    let made = try read([UInt8](answer.body), as: StartResponse.self)
    #expect(try await daemon.send("GET", "/api/v1/sessions/\(made.session)").status == 200)
    #expect(made.wrapInit.handoffToken?.count == 32)
    #expect(FileManager.default.fileExists(atPath: made.wrapInit.notifySocket ?? ""))
    #expect(
      try await daemon.eventTypes(made.session) == ["session_created", "wrap_init"])
    wanted.session = made.session
    let again = try await launch(daemon, Self.bytes(wanted))
    #expect(try read([UInt8](again.body), as: StartResponse.self).session == made.session)
    #expect(try await daemon.send("GET", "/api/v1/sessions").list.count == 1)
    await daemon.stop()
  }

  @Test func `a start that is refused leaves no session`() async throws {
    let daemon = try await TestDaemon()
    let good = Self.request(daemon.workspace)
    var foreign = good
    foreign.wrapInit.callerUID = Int64(getuid()) + 1
    var denied = good
    denied.create.policyText = "version: 1\nname: none\n"
    denied.wrapInit.callerUID = nil
    var relative = good
    relative.wrapInit.agentCommand = "true"
    var unknown = good
    unknown.session = "none"
    var policy = good
    policy.create.policyText = "version: x"
    let refused: [(StartRequest, Int)] = [
      (foreign, 403), (denied, 403), (relative, 400), (unknown, 404), (policy, 400),
    ]
    for (request, status) in refused {
      let answer = try await launch(daemon, Self.bytes(request))
      #expect(answer.status == status, "\(answer.text)")
      #expect(!answer.error.isEmpty)
    }
    #expect(try await launch(daemon, Self.bytes(good), type: "application/json").status == 400)
    #expect(try await launch(daemon, [1, 0]).status == 400)
    #expect(try await launch(daemon, []).status == 400)
    #expect(try await daemon.send("GET", "/api/v1/sessions").list.isEmpty)
    await daemon.stop()
  }
}
