import AgentshAPI
import AgentshConfig
import AgentshSession
import Hummingbird

// Whose session a request is about. What is somebody else's does not exist (404), except for administrators.
extension Routes {
  /// uid 0, and on the machine's daemon the members of `roles.admin_groups`, as the user database says it now.
  func administers(_ caller: Caller) async throws(SessionError) -> Bool {
    if caller.uid == 0 { return true }
    let groups = services.config.adminGroups
    guard services.locations.isSystem, !groups.isEmpty else { return false }
    return try await onThread("roles") { .success(isMember(caller.uid, ofAny: groups)) }
  }

  /// The caller's session of the id in the path; for an administrator whoever's, with `?owner=UID` where several users
  /// have one of this name.
  func session(_ request: Request, _ context: PeerContext) async throws -> LiveSession {
    try await session(try id(context), owner: try owner(request), for: try context.sender)
  }

  func session(
    _ id: String, owner: UInt32?, for caller: Caller
  ) async throws(SessionError) -> LiveSession {
    if owner == nil || owner == caller.uid {
      if let own = services.registry.session(id, owner: caller.uid) { return own }
      if owner != nil { throw .notFound }
    }
    guard try await administers(caller) else { throw .notFound }
    let found = services.registry.sessions(named: id).filter { owner == nil || $0.details.ownerUID == owner }
    guard found.count < 2 else {
      let owners = found.map { String($0.details.ownerUID) }.joined(separator: ", ")
      throw SessionError(
        .conflict, .exists, "several users have a session \"\(id)\"",
        hint: "say whose with ?owner=UID: \(owners)")
    }
    guard let session = found.first else { throw .notFound }
    return session
  }

  private func owner(_ request: Request) throws(SessionError) -> UInt32? {
    guard let text = request.uri.queryParameters["owner"] else { return nil }
    guard let uid = UInt32(text) else { throw .badRequest("owner is no uid: \"\(text)\"") }
    return uid
  }
}
