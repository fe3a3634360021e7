import AgentshAPI
package import AgentshEvent

/// Events that the daemon makes itself: what became of sessions and their supervisors.
package struct LifecycleEvents: Sendable {
  private let clock: @Sendable () -> UInt64

  /// `clock`: nanoseconds since 1970.
  package init(clock: @escaping @Sendable () -> UInt64) { self.clock = clock }

  private func event(
    _ type: String, _ session: String, _ fields: [(key: String, value: EventValue)] = []
  ) -> Event {
    var event = Event(id: randomUUID(), timestamp: clock(), type: type, sessionID: session)
    event.fields = fields
    return event
  }

  package func created(
    _ session: String, policy: String, workspace: String, projectRoot: String?, gitRoot: String?,
    warnings: [String]
  ) -> Event {
    var fields: [(key: String, value: EventValue)] = []
    if let gitRoot { fields.append(("git_root", .text(gitRoot))) }
    fields.append(("policy", .text(policy)))
    if let projectRoot { fields.append(("project_root", .text(projectRoot))) }
    if !warnings.isEmpty { fields.append(("warnings", .list(warnings))) }
    fields.append(("workspace", .text(workspace)))
    return event("session_created", session, fields)
  }

  package func wrapInit(
    _ session: String, pid: Int32, command: String, arguments: [String], socket: String, wrapper: String,
    isTraced: Bool
  ) -> Event {
    var result = event(
      "wrap_init", session,
      [
        ("agent_args", .list(arguments)), ("agent_command", .text(command)),
        ("enforcement", .text(isTraced ? "ptrace" : "notify")), ("notify_socket", .text(socket)),
        ("wrapper_binary", .text(wrapper)),
      ])
    result.pid = pid
    return result
  }

  /// A command that was not started, for the policy denies it: as the supervisor tells of one inside. `pid`: who asked.
  package func commandDenied(
    _ session: String, pid: Int32, command: String, canonical: String, arguments: [String],
    policy: PolicyOutcome
  ) -> Event {
    var result = event("execve", session, [("errno", .number(13))])
    result.pid = pid
    result.policy = policy
    result.depth = 0
    result.path = canonical
    result.filename = canonical
    result.rawFilename = command
    result.argv = [command] + arguments
    result.effectiveAction = "blocked"
    return result
  }

  /// One of the owner's limits, by its key in the configuration.
  package func limitReached(_ session: String, limit: String) -> Event {
    event("limit_reached", session, [("limit", .text(limit))])
  }

  /// A call is held until somebody approves it.
  package func approvalRequested(_ call: HeldCall) -> Event { approval("approval_requested", call, []) }

  /// `uid`: who answered; nil where nobody did.
  package func approvalResolved(_ call: HeldCall, approved: Bool, reason: String, by uid: UInt32?) -> Event {
    var fields: [(key: String, value: EventValue)] = [
      ("approved", .flag(approved)), ("reason", .text(reason)), ("resolved_at", .text(rfc3339(clock()))),
    ]
    if let uid { fields.append(("resolved_by", .number(Int64(uid)))) }
    return approval("approval_resolved", call, fields)
  }

  /// In alphabetical order, as upstream's maps come out.
  private func approval(
    _ type: String, _ call: HeldCall, _ more: [(key: String, value: EventValue)]
  ) -> Event {
    let view = call.view
    var fields: [(key: String, value: EventValue)] = [
      ("approval_id", .text(view.id)), ("command", .text(view.fields.command)), ("kind", .text(view.kind)),
      ("message", .text(view.message)), ("rule", .text(view.rule)), ("target", .text(view.target)),
    ]
    if let args = view.fields.args { fields.append(("args", .list(args))) }
    if let operation = view.fields.operation { fields.append(("operation", .text(operation))) }
    if let path2 = view.fields.path2 { fields.append(("path2", .text(path2))) }
    var result = event(type, view.sessionID, (fields + more).sorted { $0.key < $1.key })
    result.pid = view.fields.pid
    return result
  }

  package func destroyed(_ session: String) -> Event { event("session_destroyed", session) }

  /// A connection to the hand-off socket that was turned away.
  package func handoffRefused(
    _ session: String, uid: UInt32, pid: Int32, cause: String, count: Int
  ) -> Event {
    var result = event(
      "handoff_refused", session,
      [("cause", .text(cause)), ("count", .number(Int64(count))), ("uid", .number(Int64(uid)))])
    result.pid = pid
    return result
  }

  package func fact(_ fact: SessionState.Fact, _ session: String) -> Event {
    switch fact {
    case .ready(let supervisor, let target, let degraded):
      with(
        target,
        event(
          "supervisor_ready", session,
          [
            ("degraded", .list(degraded)), ("supervisor_pid", .number(Int64(supervisor))),
          ]))
    case .finished(let exitCode, let denied):
      event(
        "session_finished", session,
        [("denied", .number(Int64(clamping: denied)))]
          + (exitCode.map { [("exit_code", .number(Int64($0)))] } ?? []))
    case .lost(let supervisor, let target, let cause):
      with(
        target,
        event(
          "supervisor_lost", session,
          [
            ("cause", .text(cause)), ("supervisor_pid", .number(Int64(supervisor))),
          ]))
    case .detached(let supervisor, let cause):
      event(
        "supervisor_detached", session,
        [
          ("cause", .text(cause)), ("supervisor_pid", .number(Int64(supervisor))),
        ])
    case .reattached(let supervisor):
      event("supervisor_reattached", session, [("supervisor_pid", .number(Int64(supervisor)))])
    case .refused(let cause): event("supervisor_failed", session, [("cause", .text(cause))])
    }
  }

  private func with(_ pid: Int32, _ event: Event) -> Event {
    var event = event
    event.pid = pid
    return event
  }
}
