import AgentshAPI
import AgentshAudit
import AgentshEvent
import AgentshSession
import Hummingbird
import LinuxSystem
import NIOCore

extension Routes {
  /// Events in one message of a stream.
  private static let page = 500
  /// A comment line comes at least so often, in seconds.
  static let heartbeatSeconds: UInt64 = 15

  func search(_ request: Request, _ context: PeerContext) async throws -> Response {
    let query = try EventQuery(request, owner: try await owner(try context.sender), session: nil)
    try await services.catchUp()
    return try await answer(query)
  }

  /// Also of a session that is gone: its events stay.
  func history(_ request: Request, _ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    let id = try id(context)
    let query = try EventQuery(request, owner: try await owner(caller), session: id)
    try await services.catchUp()
    if services.registry.session(id, owner: caller.uid) == nil {
      var any = EventQuery(owner: query.owner)
      any.sessionID = id
      any.limit = 1
      if try await services.store.events(any).isEmpty { throw SessionError.notFound }
    }
    return try await answer(query)
  }

  /// Whose events the caller sees; nil: everybody's.
  private func owner(_ caller: Caller) async throws(SessionError) -> UInt32? {
    try await administers(caller) ? nil : caller.uid
  }

  private func answer(_ query: EventQuery) async throws -> Response {
    let events = try await services.store.events(query)
    var buffer = ByteBuffer()
    buffer.reserveCapacity(events.reduce(2) { $0 + $1.json.utf8.count + 1 })
    buffer.writeString("[")
    for (index, event) in events.enumerated() {
      if index > 0 { buffer.writeString(",") }
      buffer.writeString(event.json)
    }
    buffer.writeString("]\n")
    return response(200, bytes: buffer)
  }

  // MARK: server-sent events

  func stream(_ request: Request, _ context: PeerContext) async throws -> Response {
    let session = try await session(request, context)
    // From here on events are stored as they come; what came before is behind the stream's beginning.
    let wakes = services.feed.follow()
    try await services.catchUp()
    let start = try await services.store.lastPosition()
    let routes = self
    let body = ResponseBody { writer in
      routes.activity.enter()
      defer { routes.activity.leave() }
      // On the loop, as the connection's task is: what may block in it runs elsewhere.
      try await routes.follow(session, from: start, wakes, &writer)
      try await writer.finish(nil)
    }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
  }

  @concurrent private func follow(
    _ session: LiveSession, from start: Int64, _ wakes: AsyncStream<Void>,
    _ writer: inout any ResponseBodyWriter
  ) async throws {
    var query = EventQuery(owner: session.details.ownerUID)
    query.sessionID = session.details.id
    query.limit = Self.page
    query.after = start
    var lastWrite = monotonicClock()
    var wakesAtEnd = 0
    try await writer.write(ByteBuffer(string: ": agentsh\n\n"))
    for await _ in wakes {
      // Asked before the events: what was stored before the end is still sent.
      let isOver = session.isDestroyed || session.phase == .finished
      var isTold = !session.isDestroyed
      // A store that refuses is logged where it does.
      try? await services.catchUp()
      while true {
        let events = try await services.store.events(query)
        if events.contains(where: { $0.type == "session_destroyed" }) { isTold = true }
        for event in events { try await writer.write(ByteBuffer(string: Self.message(event))) }
        if let last = events.last {
          query.after = last.position
          lastWrite = monotonicClock()
        }
        if events.count < Self.page { break }
      }
      // The last event of a session is stored shortly after the session counts as deleted.
      wakesAtEnd += isOver ? 1 : 0
      if isOver, isTold || wakesAtEnd > 3 { return }
      if monotonicClock() - lastWrite >= Self.heartbeatSeconds * 1_000_000_000 {
        try await writer.write(ByteBuffer(string: ":\n\n"))
        lastWrite = monotonicClock()
      }
    }
  }

  private static func message(_ event: StoredEvent) -> String {
    "id: \(event.id)\nevent: \(event.type)\ndata: \(event.json)\n\n"
  }
}

extension EventQuery {
  /// From a request's parameters. Throws 400 for one that is not known or has no such value.
  init(_ request: Request, owner: UInt32?, session: String?) throws(SessionError) {
    self.init(owner: owner)
    sessionID = session
    limit = EventQueryKey.defaultLimit
    order = .descending
    for (name, value) in request.uri.queryParameters {
      guard let key = EventQueryKey(rawValue: String(name)) else {
        throw .badRequest("unknown query parameter \"\(name)\"")
      }
      try set(key, String(value), session)
    }
  }

  private mutating func set(_ key: EventQueryKey, _ value: String, _ session: String?) throws(SessionError) {
    switch key {
    case .sessionID:
      guard session == nil else { throw .badRequest("session_id stands in the path already") }
      guard isSessionID(value) else { throw .badRequest("\"\(value)\" is no session id") }
      sessionID = value
    case .type: types = value.split(separator: ",").map(String.init)
    case .decision: decision = value
    case .path: path = value
    case .since: since = try Self.time(key, value)
    case .until: until = try Self.time(key, value)
    case .limit:
      guard let number = Int(value), (1...EventQueryKey.eventLimit).contains(number) else {
        throw .badRequest("limit is a number from 1 to \(EventQueryKey.eventLimit)")
      }
      limit = number
    case .order:
      guard let order = Order(rawValue: value) else { throw .badRequest("order is asc or desc") }
      self.order = order
    }
  }

  private static func time(_ key: EventQueryKey, _ text: String) throws(SessionError) -> UInt64 {
    guard let time = nanoseconds(rfc3339: text) else {
      throw .badRequest(
        "\(key.rawValue) is no RFC 3339 time: \"\(text)\"", hint: "such as 2026-01-31T12:00:00Z")
    }
    return time
  }
}
