import AgentshAPI
import AgentshAudit
import AgentshConfig
import AgentshEvent
import AgentshSession
import CLinux
import LinuxSystem
import Logging
import Synchronization

/// What every part of the daemon works with. Made once.
struct Services: Sendable {
  let locations: Locations
  let config: ServerConfig
  /// The one that was read, or would have been.
  let configFile: String
  let programs: Programs
  let store: EventStore
  let intake: EventIntake
  /// The daemon's own.
  let events: OwnEvents
  let lifecycle: LifecycleEvents
  let registry: SessionRegistry
  let approvals: ApprovalStore
  let records: LaunchRecords
  let feed: EventFeed
  let logger: Logger
  let enforcement: ServerConfig.Enforcement
  let onDemand: Bool
  /// Of our own account.
  let home: String
  /// Nanoseconds since 1970.
  let startedAt: UInt64

  /// Before events are asked for: what was taken until now is in the store when it returns. Throws 503 when the store
  /// refuses, for the answer would lack what was confirmed.
  func catchUp() async throws(SessionError) {
    if intake.isEmpty { return }
    let intake = intake
    try await onThread("catch-up") { () -> Result<Void, SessionError> in
      Result { () throws(SessionError) in
        do throws(AuditError) { try intake.catchUp() } catch {
          throw SessionError(
            .unavailable, .failed, "\(error)", hint: "free some space, or look at the log")
        }
      }
    }
  }

  /// An event of the daemon's own; that it could not be taken is logged, for it is no longer worth stopping for.
  func record(_ event: Event, owner: UInt32) {
    do throws(AuditError) { try events.record(event, owner: owner) } catch {
      logger.error("event lost: \(event.type) of \(event.sessionID): \(error)")
    }
  }
}

/// Where our own programs lie.
struct Programs: Sendable {
  /// Of the running daemon.
  let directory: String
  let launcher: String
  let supervisor: String

  /// Beside the daemon itself, or in `../libexec/agentsh`. nil when the directory cannot be found.
  init?() {
    var target = PathText()
    guard readLinkAt(AT_FDCWD, PathText("/proc/self/exe"), into: &target) > 0 else { return nil }
    let own = target.text
    guard let slash = own.lastIndex(of: "/") else { return nil }
    let directory = String(own[..<slash])
    let above = directory.lastIndex(of: "/").map { String(directory[..<$0]) } ?? ""
    let places = [directory, above + "/libexec/agentsh"]
    func find(_ name: String) -> String {
      for place in places where Self.isProgram(place + "/" + name) { return place + "/" + name }
      return directory + "/" + name
    }
    self.directory = directory
    launcher = find("agentsh-launch")
    supervisor = find("agentsh-supervisor")
  }

  /// For tests.
  init(below directory: String) {
    self.directory = directory
    launcher = directory + "/agentsh-launch"
    supervisor = directory + "/agentsh-supervisor"
  }

  /// A regular file that we may run.
  static func isProgram(_ path: String) -> Bool {
    var status = stat()
    guard statAt(AT_FDCWD, PathText(path), &status, flags: 0) == 0 else { return false }
    return FileType(mode: status.st_mode) == .regular && status.st_mode & 0o111 != 0
  }

  static let names = ["agentsh", "agentshd", "agentsh-launch", "agentsh-supervisor", "agentsh-shim"]

  /// What nobody inside may touch: a clone's whole build folder, else the programs themselves (the directory of an
  /// installed program, as /usr/bin, is not ours).
  var floor: [String] {
    let parts = directory.split(separator: "/")
    if let build = parts.firstIndex(of: ".build") { return ["/" + parts[...build].joined(separator: "/")] }
    let above = parts.dropLast().isEmpty ? "" : "/" + parts.dropLast().joined(separator: "/")
    return Self.names.map { directory + "/" + $0 } + [above + "/libexec/agentsh"]
  }
}

/// Wakes whoever follows the events, after each commit. A wake-up carries nothing: followers ask the store for what is
/// behind the position they have, so a slow one misses nothing and nothing piles up.
final class EventFeed: Sendable {
  private struct State {
    var followers: [UInt64: AsyncStream<Void>.Continuation] = [:]
    var next: UInt64 = 0
  }
  private let state = Mutex(State())

  var hasFollowers: Bool { state.withLock { !$0.followers.isEmpty } }

  func wake() {
    let followers = state.withLock { Array($0.followers.values) }
    for follower in followers { follower.yield() }
  }

  /// A stream of wake-ups, the newest one kept.
  func follow() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let id = state.withLock { state in
      state.next += 1
      state.followers[state.next] = continuation
      return state.next
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.followers.removeValue(forKey: id) }
    }
    return stream
  }

  func finish() {
    let followers = state.withLock { Array($0.followers.values) }
    for follower in followers { follower.finish() }
  }
}
