import AgentshAPI
import AgentshAudit
import AgentshConfig
import AgentshSession
import LinuxSystem

/// Makes sessions: looks at the workspace with the caller's rights, loads the policy with ours.
struct SessionMaker: Sendable {
  let services: Services
  let policies: PolicyChoice

  func make(
    _ wanted: CreateSessionRequest, _ caller: Caller, isForOneStart: Bool = false
  ) async throws(SessionError) -> LiveSession {
    if caller.uid == currentUser() {
      return try await onThread("session", takesRights: false) { () -> Result<LiveSession, SessionError> in
        Result { () throws(SessionError) in
          try self.makeForUs(wanted, caller, isForOneStart: isForOneStart)
        }
      }
    }
    let id = try check(wanted)
    let (workspace, chosen) = try await prepare(wanted, caller)
    return try add(id, wanted, caller, workspace, chosen, isForOneStart: isForOneStart)
  }

  /// For our own user, whose rights we have. Blocks.
  func makeForUs(
    _ wanted: CreateSessionRequest, _ caller: Caller, isForOneStart: Bool
  ) throws(SessionError) -> LiveSession {
    let id = try check(wanted)
    let workspace = try Workspace.examine(
      wanted, user: try user(caller), roots: services.config.workspaceRoots)
    let chosen = try choose(wanted, caller, workspace)
    return try add(id, wanted, caller, workspace, chosen, isForOneStart: isForOneStart)
  }

  /// The id that it shall have.
  private func check(_ wanted: CreateSessionRequest) throws(SessionError) -> String {
    let id = try Self.id(wanted)
    if let profile = wanted.profile, !profile.isEmpty { throw .badRequest("profile is not supported") }
    if let home = wanted.home, !home.isEmpty {
      throw .badRequest("home is not taken from the request: it is the one in the user database")
    }
    try proveRecordable()
    return id
  }

  /// What could not be recorded does not start.
  private func proveRecordable() throws(SessionError) {
    if let failure = services.intake.failure {
      let database = services.config.database ?? services.locations.database
      throw SessionError(.unavailable, .failed, "events cannot be stored in \(database): \(failure)")
    }
    do throws(SystemCallError) { try services.records.proveRoom() } catch {
      throw SessionError(
        .unavailable, .failed, "nothing can be recorded in \(services.records.directory): \(error)")
    }
  }

  /// Account, workspace and policy of another user. The thread on which the workspace is looked at is left with that user's
  /// rights to files, so each has one of its own.
  private func prepare(
    _ wanted: CreateSessionRequest, _ caller: Caller
  ) async throws(SessionError) -> (Workspace, PolicyChoice.Chosen) {
    let roots = services.config.workspaceRoots
    let user = try await onThread("account") { () -> Result<UserEntry, SessionError> in
      Result { () throws(SessionError) in try self.user(caller) }
    }
    let workspace = try await onThread("workspace") { () -> Result<Workspace, SessionError> in
      Result { () throws(SessionError) in try Workspace.examine(wanted, user: user, roots: roots) }
    }
    let chosen = try await onThread("policy") { () -> Result<PolicyChoice.Chosen, SessionError> in
      Result { () throws(SessionError) in try choose(wanted, caller, workspace) }
    }
    return (workspace, chosen)
  }

  /// Blocks.
  private func choose(
    _ wanted: CreateSessionRequest, _ caller: Caller, _ workspace: Workspace
  ) throws(SessionError) -> PolicyChoice.Chosen {
    let context = PolicyContext(
      workspace: workspace.path, home: workspace.home, projectRoot: workspace.projectRoot,
      gitRoot: workspace.gitRoot, variables: services.config.variables, realPaths: wanted.realPaths ?? false)
    return try policies.choose(wanted, caller: caller, context: context)
  }

  private func add(
    _ id: String, _ wanted: CreateSessionRequest, _ caller: Caller, _ workspace: Workspace,
    _ chosen: PolicyChoice.Chosen, isForOneStart: Bool
  ) throws(SessionError) -> LiveSession {
    let details = SessionDetails(
      id: id, ownerUID: caller.uid, ownerGID: caller.gid, createdAt: wallClock(), workspace: workspace,
      policyName: chosen.name, rules: chosen.rules, realPaths: wanted.realPaths ?? false)
    let session = LiveSession(details, state: SessionState(isForOneStart: isForOneStart))
    try services.registry.add(session)
    do throws(AuditError) {
      try services.events.record(
        services.lifecycle.created(
          details.id, policy: details.policyName, workspace: details.workspace.path,
          projectRoot: details.workspace.projectRoot, gitRoot: details.workspace.gitRoot,
          warnings: chosen.warnings),
        owner: details.ownerUID)
    } catch {
      // What cannot be recorded does not start.
      _ = services.registry.remove(session)
      throw SessionError(.unavailable, .failed, "the session cannot be recorded: \(error)")
    }
    return session
  }

  private static func id(_ wanted: CreateSessionRequest) throws(SessionError) -> String {
    guard let id = wanted.id, !id.isEmpty else { return "session-\(randomUUID())" }
    guard isSessionID(id) else {
      throw .badRequest(
        "\"\(id)\" is no session id", hint: "a letter or digit, then at most 127 of letters, digits, _ and -")
    }
    return id
  }

  /// The caller's account. One that the user database lacks (a bare container) has a home of its own only when it is
  /// our own account: then ours holds. Blocks.
  private func user(_ caller: Caller) throws(SessionError) -> UserEntry {
    do throws(SystemCallError) {
      if let found = try userEntry(uid: caller.uid) { return found }
    } catch { throw .failed("the user database cannot be asked: \(error)") }
    let home = caller.uid == currentUser() ? services.home : "/nonexistent"
    return UserEntry(uid: caller.uid, gid: caller.gid, name: "", home: home, groups: [caller.gid])
  }
}

extension Result where Failure == SessionError {
  init(_ body: () throws(SessionError) -> Success) {
    do throws(SessionError) { self = .success(try body()) } catch { self = .failure(error) }
  }
}
