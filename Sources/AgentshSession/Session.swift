package import AgentshAPI
package import AgentshPolicy
import AgentshEvent
import Synchronization

/// What does not change about a session.
package struct SessionDetails: Sendable {
  package let id: String
  /// Everything of the session belongs to this user.
  package let ownerUID: UInt32
  package let ownerGID: UInt32
  /// Nanoseconds since 1970.
  package let createdAt: UInt64
  package let workspace: Workspace
  package let policyName: String
  package let rules: SessionRules
  package let realPaths: Bool

  package init(
    id: String, ownerUID: UInt32, ownerGID: UInt32, createdAt: UInt64, workspace: Workspace,
    policyName: String,
    rules: SessionRules, realPaths: Bool
  ) {
    self.id = id
    self.ownerUID = ownerUID
    self.ownerGID = ownerGID
    self.createdAt = createdAt
    self.workspace = workspace
    self.policyName = policyName
    self.rules = rules
    self.realPaths = realPaths
  }
}

/// A session: its details and its state.
///
/// A lock, not an actor: its events come from pthreads (hand-off, channels), and a task made by each of them would lose
/// their order. Nothing blocks under the lock.
package final class LiveSession: Sendable {
  package let details: SessionDetails
  private let state: Mutex<SessionState>

  package init(_ details: SessionDetails, state: SessionState = SessionState()) {
    self.details = details
    self.state = Mutex(state)
  }

  package func apply(_ input: SessionState.Input, to launch: LaunchID) -> [SessionState.Action] {
    state.withLock { $0.apply(input, to: launch) }
  }

  package func destroy() -> [(LaunchID, [SessionState.Action])] { state.withLock { $0.destroy() } }
  package var isDestroyed: Bool { state.withLock { $0.isDestroyed } }
  package var phase: Session.State { state.withLock { $0.state } }
  package var launches: [LaunchID: SessionState.Launch] { state.withLock { $0.launches } }

  /// As the API shows it.
  package var view: Session {
    var view = Session(
      id: details.id, state: phase, createdAt: rfc3339(details.createdAt), workspace: details.workspace.path,
      policy: details.policyName, cwd: details.realPaths ? details.workspace.path : "/workspace")
    view.workspaceMount = details.workspace.path
    view.virtualRoot = details.realPaths ? details.workspace.path : "/workspace"
    view.projectRoot = details.workspace.projectRoot
    view.gitRoot = details.workspace.gitRoot
    return view
  }
}
