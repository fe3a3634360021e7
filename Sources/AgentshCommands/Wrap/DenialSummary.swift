import LinuxSystem
import AgentshAPI
import AgentshClient

/// The one line to the person after the agent has ended, where the daemon's supervisor cannot print it.
struct DenialSummary {
  private static let attempts = 40
  private static let pauseMilliseconds = 25
  let daemon: Daemon
  let socket: String
  let session: String

  func print() {
    guard let client = try? daemon.client(to: socket) else { return }
    // The supervisor's last events are stored before its session is finished.
    for _ in 0..<Self.attempts {
      if (try? client.session(session))?.state == .finished { break }
      _ = poll([], milliseconds: Self.pauseMilliseconds)
    }
    let query = queryString([
      (EventQueryKey.sessionID.rawValue, session), (EventQueryKey.decision.rawValue, "deny"),
      (EventQueryKey.limit.rawValue, String(EventQueryKey.eventLimit)),
    ])
    guard let body = try? client.get(Route.eventSearch + query),
      let line = Self.line(JSONArray.elements(body).count, session)
    else { return }
    Output.note(line)
  }

  /// nil when nothing was denied.
  static func line(_ count: Int, _ session: String) -> String? {
    guard count > 0 else { return nil }
    let number = count >= EventQueryKey.eventLimit ? "\(count) or more" : String(count)
    return "agentsh: \(number) operation\(count == 1 ? "" : "s") denied "
      + "(agentsh events query --session \(session) --decision deny)"
  }
}
