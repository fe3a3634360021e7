import AgentshAPI
import Synchronization

/// All sessions. Each user has names of their own: another's session of the same name does not exist for them, so that
/// nobody finds out about it, or takes the name away.
package final class SessionRegistry: Sendable {
  /// Of one owner; finished ones make room.
  package let perOwnerLimit: Int

  fileprivate struct Key: Hashable {
    let owner: UInt32
    let id: String
    init(_ session: LiveSession) {
      owner = session.details.ownerUID
      id = session.details.id
    }
    init(owner: UInt32, id: String) {
      self.owner = owner
      self.id = id
    }
  }

  fileprivate struct State {
    var sessions: [Key: LiveSession] = [:]
    /// In the order they were made.
    var order: [Key] = []
  }
  private let state = Mutex(State())

  package init(perOwnerLimit: Int = 256) { self.perOwnerLimit = perOwnerLimit }

  /// Takes a session in. Throws 409 for an id that its owner has already, 429 when the owner has too many.
  package func add(_ session: LiveSession) throws(SessionError) {
    let key = Key(session)
    let problem: SessionError? = state.withLock { state in
      if state.sessions[key] != nil {
        return SessionError(.conflict, .exists, "a session with id \"\(key.id)\" exists already")
      }
      let owned = state.order.filter { $0.owner == key.owner }
      if owned.count >= perOwnerLimit {
        guard let old = owned.first(where: { state.sessions[$0]?.phase == .finished }) else {
          return .tooMany("you have \(owned.count) sessions already", limit: "sessions", "delete one")
        }
        state.drop(old)
      }
      state.sessions[key] = session
      state.order.append(key)
      return nil
    }
    if let problem { throw problem }
  }

  package func session(_ id: String, owner: UInt32) -> LiveSession? {
    state.withLock { $0.sessions[Key(owner: owner, id: id)] }
  }

  /// Whoever's, for administrators.
  package func sessions(named id: String) -> [LiveSession] {
    state.withLock { state in state.order.filter { $0.id == id }.compactMap { state.sessions[$0] } }
  }

  /// nil: everybody's.
  package func list(owner: UInt32?) -> [LiveSession] {
    state.withLock { state in
      state.order.filter { owner == nil || $0.owner == owner }.compactMap { state.sessions[$0] }
    }
  }

  /// Takes it out. False when it is gone already.
  package func remove(_ session: LiveSession) -> Bool {
    let key = Key(session)
    return state.withLock { state in
      guard state.sessions[key] === session else { return false }
      state.drop(key)
      return true
    }
  }
}

extension SessionRegistry.State {
  fileprivate mutating func drop(_ key: SessionRegistry.Key) {
    sessions[key] = nil
    order.removeAll { $0 == key }
  }
}
