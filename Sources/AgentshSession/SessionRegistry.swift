import AgentshAPI
import Synchronization

/// All sessions. Others' sessions do not exist for a caller (404), except for uid 0.
package final class SessionRegistry: Sendable {
  /// Of one owner; finished ones make room.
  package static let perOwnerLimit = 256

  fileprivate struct State {
    var sessions: [String: LiveSession] = [:]
    /// In the order they were made.
    var order: [String] = []
  }
  private let state = Mutex(State())

  package init() {}

  /// Takes a session in. Throws 409 for an id that exists (whoever has it), 503 when the owner has too many.
  package func add(_ session: LiveSession) throws(SessionError) {
    let id = session.details.id
    let problem: SessionError? = state.withLock { state in
      if state.sessions[id] != nil {
        return SessionError(.conflict, .exists, "a session with id \"\(id)\" exists already")
      }
      let owned = state.order.filter { state.sessions[$0]?.details.ownerUID == session.details.ownerUID }
      if owned.count >= Self.perOwnerLimit {
        guard let old = owned.first(where: { state.sessions[$0]?.phase == .finished }) else {
          return .limit("you have \(owned.count) sessions already", hint: "delete one")
        }
        state.drop(old)
      }
      state.sessions[id] = session
      state.order.append(id)
      return nil
    }
    if let problem { throw problem }
  }

  package func session(_ id: String, for caller: Caller) throws(SessionError) -> LiveSession {
    guard let session = state.withLock({ $0.sessions[id] }), Self.sees(caller, session) else {
      throw .notFound
    }
    return session
  }

  /// Without asking who: for what the daemon itself does.
  package func session(_ id: String) -> LiveSession? { state.withLock { $0.sessions[id] } }

  package func list(for caller: Caller) -> [LiveSession] { all.filter { Self.sees(caller, $0) } }

  package var all: [LiveSession] { state.withLock { state in state.order.compactMap { state.sessions[$0] } } }

  /// Takes it out. False when it is gone already.
  package func remove(_ id: String) -> Bool {
    state.withLock { state in
      guard state.sessions[id] != nil else { return false }
      state.drop(id)
      return true
    }
  }

  private static func sees(_ caller: Caller, _ session: LiveSession) -> Bool {
    caller.administers || caller.uid == session.details.ownerUID
  }
}

extension SessionRegistry.State {
  fileprivate mutating func drop(_ id: String) {
    sessions[id] = nil
    order.removeAll { $0 == id }
  }
}
