import AgentshAPI
import AgentshAudit
import AgentshConfig
import AgentshEvent
import AgentshSession
import HTTPTypes
import Hummingbird
import LinuxSystem
import NIOCore

/// The API. `Route.all` has the same list, and `openapi.yaml` describes it; a test holds the three together.
struct Routes: Sendable {
  let services: Services
  let director: LaunchDirector
  let policies: PolicyChoice
  let activity: Activity

  init(services: Services, director: LaunchDirector, activity: Activity) {
    self.services = services
    self.director = director
    self.activity = activity
    policies = PolicyChoice(
      config: services.config, locations: services.locations, floor: Self.floor(services))
  }

  /// What nobody inside a session touches, whatever the policy (DECISIONS 8).
  private static func floor(_ services: Services) -> [String] {
    let locations = services.locations
    var paths = [
      locations.runtimeDirectory, locations.stateDirectory, locations.configFile, services.configFile,
    ]
    paths += locations.policyDirectories + services.programs.floor
    if let directory = services.config.policyDirectory { paths.append(directory) }
    for file in [services.config.database, services.config.eventLog].compactMap({ $0 }) {
      paths += [file, file + "-wal", file + "-shm", file + "-journal"]
    }
    return paths
  }

  private typealias Handler = @Sendable (Routes, Request, PeerContext) async throws -> Response

  /// Method, path and handler, with OpenAPI's placeholders.
  private static let table: [(method: HTTPRequest.Method, path: String, handler: Handler)] = [
    (.get, Route.health, { try $0.health($1, $2) }),
    (.get, Route.ready, { routes, _, _ in try routes.ready() }),
    (.post, Route.sessions, { try await $0.createSession($1, $2) }),
    (.get, Route.sessions, { routes, _, context in try await routes.listSessions(context) }),
    (.get, Route.session("{id}"), { try await $0.getSession($1, $2) }),
    (.delete, Route.session("{id}"), { try await $0.deleteSession($1, $2) }),
    (.post, Route.wrapInit("{id}"), { try await $0.wrapInit($1, $2) }),
    (.post, Route.launches, { try await $0.launch($1, $2) }),
    (.get, Route.history("{id}"), { try await $0.history($1, $2) }),
    (.get, Route.events("{id}"), { try await $0.stream($1, $2) }),
    (.get, Route.eventSearch, { try await $0.search($1, $2) }),
    (.post, Route.policyTest, { try await $0.testPolicy($1, $2) }),
    (.get, Route.policies, { routes, _, context in try await routes.listPolicies(context) }),
    (.get, Route.approvals, { routes, _, context in try await routes.listApprovals(context) }),
    (.post, Route.approval("{id}"), { try await $0.resolveApproval($1, $2) }),
  ]

  /// As `GET /path/{id}`.
  static var names: [String] { table.map { "\($0.method.rawValue) \($0.path)" } }

  func router() -> Router<PeerContext> {
    let router = Router(context: PeerContext.self)
    router.add(middleware: PeerMiddleware(director: director, activity: activity))
    for (method, path, handler) in Self.table {
      // A start is waited for, and blocks on a thread of its own only.
      let staysOnLoop = path == Route.launches
      router.on(RouterPath(path), method: method) { request, context in
        if staysOnLoop { return try await handler(self, request, context) }
        return try await offLoop { try await handler(self, request, context) }
      }
    }
    return router
  }

  // MARK: health

  private func health(_ request: Request, _ context: PeerContext) throws -> Response {
    guard request.headers[.accept]?.contains("application/json") == true else {
      return response(text: "ok\n")
    }
    let caller = try context.sender
    return response(
      200,
      HealthStatus(
        version: AgentshVersion.text, pid: currentProcess(), uid: currentUser(),
        startedAt: rfc3339(services.startedAt), sessions: services.registry.list(owner: caller.uid).count,
        onDemand: services.onDemand))
  }

  private func ready() throws -> Response {
    if let failure = services.intake.failure {
      throw SessionError(.unavailable, .failed, "\(failure)", hint: "free some space, or look at the log")
    }
    return response(text: "ready\n")
  }

  // MARK: sessions

  private func createSession(_ request: Request, _ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    let wanted = try await decode(CreateSessionRequest.self, request)
    let session = try await SessionMaker(services: services, policies: policies).make(wanted, caller)
    return response(201, session.view)
  }

  private func listSessions(_ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    let owner = try await administers(caller) ? nil : caller.uid
    return response(200, services.registry.list(owner: owner).map(\.view))
  }

  private func getSession(_ request: Request, _ context: PeerContext) async throws -> Response {
    response(200, try await session(request, context).view)
  }

  private func deleteSession(_ request: Request, _ context: PeerContext) async throws -> Response {
    let session = try await session(request, context)
    let details = session.details
    guard await director.destroy(session) else {
      throw SessionError.failed("the session's programs could not be ended")
    }
    // Two may ask at once; one of them records it.
    if services.registry.remove(session) {
      services.record(services.lifecycle.destroyed(details.id), owner: details.ownerUID)
    }
    services.feed.wake()
    return Response(status: .noContent)
  }

  func id(_ context: PeerContext) throws -> String {
    guard let id = context.parameters.get("id"), isSessionID(id) else { throw SessionError.notFound }
    return id
  }

  // MARK: wrap-init

  private func wrapInit(_ request: Request, _ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    director.expectMove(for: caller)
    let session = try await session(request, context)
    let wanted = try await decode(WrapInitRequest.self, request)
    let pidfd = try context.senderProcess
    let answer = try await WrapInit(services: services, director: director)
      .answer(wanted, session, caller, pidfd)
    return response(200, answer)
  }

  // MARK: policies

  private func testPolicy(_ request: Request, _ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    let wanted = try await decode(PolicyTestRequest.self, request)
    let test = PolicyTest(services: services, policies: policies)
    return response(200, try await test.answer(wanted, caller))
  }

  private func listPolicies(_ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    let policies = policies
    let list = try await onThread("policies") { () -> Result<PolicyList, SessionError> in
      .success(policies.list(sampleContext(caller), for: caller))
    }
    return response(200, list)
  }
}
