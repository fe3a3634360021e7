import AgentshAPI
import AgentshSession
import AgentshWire
import Hummingbird
import LinuxSystem
import NIOCore

extension Routes {
  /// Session and wrap-init in one (StartExchange.swift). A session that was made for a start goes again when that is
  /// refused or comes to nothing.
  func launch(_ request: Request, _ context: PeerContext) async throws -> Response {
    let caller = try context.sender
    director.expectMove(for: caller)
    let wanted = try await decodeLaunch(request)
    let pidfd = try context.senderProcess
    if wanted.session == nil, caller.uid == currentUser() {
      let answer = try await onThread("launch", takesRights: false) {
        () -> Result<StartResponse, SessionError> in
        Result { () throws(SessionError) in try self.launchForUs(wanted, caller, pidfd) }
      }
      return response(answer)
    }
    let session =
      if let id = wanted.session {
        try await session(id, owner: nil, for: caller)
      } else {
        try await SessionMaker(services: services, policies: policies).make(
          wanted.create, caller, isForOneStart: true)
      }
    do throws(SessionError) {
      let answer = try await WrapInit(services: services, director: director)
        .answer(wanted.wrapInit, session, caller, pidfd)
      return response(StartResponse(session: session.details.id, wrapInit: answer))
    } catch {
      if wanted.session == nil { director.discard(session) }
      throw error
    }
  }

  /// In a new session of our own user, all on one thread. Blocks.
  private func launchForUs(
    _ wanted: StartRequest, _ caller: Caller, _ pidfd: SharedDescriptor
  ) throws(SessionError) -> StartResponse {
    let session = try SessionMaker(services: services, policies: policies).makeForUs(
      wanted.create, caller, isForOneStart: true)
    do throws(SessionError) {
      let answer = try WrapInit(services: services, director: director)
        .answerHere(wanted.wrapInit, session, caller, pidfd)
      return StartResponse(session: session.details.id, wrapInit: answer)
    } catch {
      director.discard(session)
      throw error
    }
  }

  private func decodeLaunch(_ request: Request) async throws -> StartRequest {
    guard request.headers[.contentType] == StartRequest.mediaType else {
      throw SessionError.badRequest(
        "the body is not \(StartRequest.mediaType)",
        hint: "POST \(Route.sessions) and its wrap-init take JSON")
    }
    var request = request
    let body = try await request.collectBody(upTo: PeerContext.bodyLimit)
    do throws(WireError) {
      var reader = WireReader(Array(body.readableBytesView))
      let wanted = try reader.value(StartRequest.self)
      try reader.finish()
      return wanted
    } catch { throw SessionError.badRequest("the body: \(error)") }
  }

  private func response(_ answer: StartResponse) -> Response {
    var writer = WireWriter()
    writer.value(answer)
    return Response(
      status: .ok, headers: [.contentType: StartRequest.mediaType],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: writer.bytes)))
  }
}
