package import AgentshAPI
package import AgentshWire

/// A session's life: what happened goes in, what is to be done comes out. No I/O, no clock.
///
/// A session is ready, runs while a program of its runs, has finished after the last one, and may run another.
package struct SessionState: Sendable {
  /// One start of a program.
  package enum Launch: Sendable, Equatable {
    /// wrap-init was answered; the listener has not come yet.
    case announced
    /// The listener came; the supervisor compiles the policy.
    case starting(supervisor: Int32, target: Int32)
    case running(supervisor: Int32, target: Int32)
    /// The channel broke; the supervisor goes on, spools, and may come back.
    case detached(supervisor: Int32, target: Int32)
  }

  package enum Input: Sendable {
    case announced
    case handedOff(supervisor: Int32, target: Int32)
    case ready(degraded: [String])
    /// The supervisor cannot do its work.
    case failed(reason: String)
    case finished(Finished)
    /// End of file, or a frame that is none.
    case channelClosed(cause: String?)
    case reattached
    case supervisorDied
    /// The caller went away before it handed over.
    case abandoned
  }

  package enum Action: Sendable, Equatable {
    case record(Fact)
    /// Nobody but us can end the tree now.
    case kill(target: Int32)
    /// The launch is over: its directory, record and descriptors go.
    case release
    /// Ask the supervisor to end the tree.
    case end(reason: String)
    /// The session was made for a start that came to nothing: it goes too.
    case discard
  }

  /// What an event is made of.
  package enum Fact: Sendable, Equatable {
    case ready(supervisor: Int32, target: Int32, degraded: [String])
    case finished(exitCode: Int32?, denied: UInt64)
    case lost(supervisor: Int32, target: Int32, cause: String)
    case detached(supervisor: Int32, cause: String)
    case reattached(supervisor: Int32)
    case refused(cause: String)

    /// A launch that begins and ends as it should.
    package var isOrdinary: Bool {
      switch self {
      case .ready, .finished: true
      case .lost, .detached, .reattached, .refused: false
      }
    }
  }

  package private(set) var launches: [LaunchID: Launch] = [:]
  package private(set) var hasRun = false
  package private(set) var isDestroyed = false

  /// Made for one start, with which it goes if nothing ran in it.
  private let isForOneStart: Bool

  package init(isForOneStart: Bool = false) { self.isForOneStart = isForOneStart }

  /// Of a session that a daemon before us ran.
  package init(detached launches: [LaunchID: (supervisor: Int32, target: Int32)]) {
    self.launches = launches.mapValues { .detached(supervisor: $0.supervisor, target: $0.target) }
    hasRun = true
    isForOneStart = false
  }

  package var state: Session.State {
    if launches.values.contains(where: { $0 != .announced }) { return .running }
    return hasRun ? .finished : .ready
  }

  /// What happened to a launch. Nothing that is not due in its state has an effect.
  package mutating func apply(_ input: Input, to id: LaunchID) -> [Action] {
    switch (launches[id], input) {
    case (nil, .announced):
      if !isDestroyed { launches[id] = .announced }
      return []
    case (.announced, .handedOff(let supervisor, let target)):
      launches[id] = .starting(supervisor: supervisor, target: target)
      return []
    case (.announced, .abandoned): return drop(id)
    case (.starting(let supervisor, let target), .ready(let degraded)):
      launches[id] = .running(supervisor: supervisor, target: target)
      hasRun = true
      return [.record(.ready(supervisor: supervisor, target: target, degraded: degraded))]
    case (.announced, .failed(let reason)), (.starting, .failed(let reason)):
      return [.record(.refused(cause: reason))] + drop(id)
    case (.starting, .channelClosed(let cause)):
      return [.record(.refused(cause: cause ?? "the supervisor ended before it was ready"))] + drop(id)
    case (.starting(_, let target), .supervisorDied):
      // It may have let the launcher go and died before we heard that it was ready.
      return [.kill(target: target), .record(.refused(cause: "the supervisor died before it was ready"))]
        + drop(id)
    case (.running, .finished(let end)), (.detached, .finished(let end)), (.starting, .finished(let end)):
      hasRun = true
      return [.record(.finished(exitCode: end.exitCode, denied: end.denied))] + drop(id)
    case (.running(let supervisor, let target), .failed(let reason)):
      return lose(id, supervisor, target, reason)
    case (.running(let supervisor, let target), .channelClosed(let cause)):
      launches[id] = .detached(supervisor: supervisor, target: target)
      return [.record(.detached(supervisor: supervisor, cause: cause ?? "the connection closed"))]
    case (.detached(let supervisor, let target), .reattached):
      launches[id] = .running(supervisor: supervisor, target: target)
      return [.record(.reattached(supervisor: supervisor))]
        + (isDestroyed ? [.end(reason: Self.deleted)] : [])
    case (.running(let supervisor, let target), .supervisorDied),
      (.detached(let supervisor, let target), .supervisorDied):
      return lose(id, supervisor, target, "the supervisor died")
    default: return []
    }
  }

  private static let deleted = "the session was deleted"

  /// The session is deleted: every launch ends. Returns what each needs.
  package mutating func destroy() -> [(LaunchID, [Action])] {
    guard !isDestroyed else { return [] }
    isDestroyed = true
    return launches.map { id, launch in
      switch launch {
      case .announced: (id, drop(id))
      case .starting, .running: (id, [.end(reason: Self.deleted)])
      case .detached(let supervisor, let target): (id, lose(id, supervisor, target, Self.deleted))
      }
    }
  }

  private mutating func drop(_ id: LaunchID) -> [Action] {
    launches[id] = nil
    return isForOneStart && !hasRun && launches.isEmpty && !isDestroyed ? [.release, .discard] : [.release]
  }

  /// Nobody decides for the tree any more, so it must not go on.
  private mutating func lose(
    _ id: LaunchID, _ supervisor: Int32, _ target: Int32, _ cause: String
  ) -> [Action] {
    [.kill(target: target), .record(.lost(supervisor: supervisor, target: target, cause: cause))] + drop(id)
  }
}
