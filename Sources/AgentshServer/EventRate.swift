import AgentshSession
import LinuxSystem
import Logging
import Synchronization

/// How fast each user's events may come. Who is over it waits; nobody else does.
final class EventRate: Sendable {
  /// Seconds' worth that may come at once.
  static let burstSeconds: UInt64 = 5

  /// For one batch: a supervisor that has ended its tree waits five seconds for each confirmation.
  static let longestWait: UInt64 = 2_000_000_000

  private let nanosecondsPerEvent: UInt64
  /// By uid: when all that has come so far would have come at the allowed rate.
  private let spent = Mutex<[UInt32: UInt64]>([:])
  /// By launch: when it was last said that its owner is over the limit.
  private let said = Mutex<[LaunchID: UInt64]>([:])

  init(perSecond: Int) { nanosecondsPerEvent = 1_000_000_000 / UInt64(max(1, perSecond)) }

  /// Nanoseconds to wait before the next events are read. `now`: on the monotonic clock.
  func take(_ count: Int, of uid: UInt32, now: UInt64) -> UInt64 {
    spent.withLock { spent in
      let start = max(spent[uid] ?? 0, now)
      let allowed = now + Self.burstSeconds * 1_000_000_000
      let end = min(start + UInt64(count) * nanosecondsPerEvent, allowed + Self.longestWait)
      spent[uid] = end
      return end > allowed ? end - allowed : 0
    }
  }

  /// True at most once a minute for each launch.
  func isNews(_ launch: LaunchID, now: UInt64) -> Bool {
    said.withLock { said in
      if let last = said[launch], now - last < 60_000_000_000 { return false }
      said = said.filter { now - $0.value < 60_000_000_000 }
      said[launch] = now
      return true
    }
  }
}

extension LaunchDirector {
  /// Holds the launch's channel up while its owner is over `limits.events_per_second`.
  func throttle(_ count: Int, _ launch: Launch) {
    let details = launch.session.details
    let now = monotonicClock()
    let wait = eventRate.take(count, of: details.ownerUID, now: now)
    guard wait > 0 else { return }
    if eventRate.isNews(launch.id, now: now) {
      services.logger.warning("uid \(details.ownerUID) is over limits.events_per_second: its calls wait")
      services.record(
        services.lifecycle.limitReached(details.id, limit: "events_per_second"), owner: details.ownerUID)
    }
    let end = now + wait
    while !launch.isReleased {
      let now = monotonicClock()
      guard now < end else { return }
      _ = waitForAny([], milliseconds: Int(min(end - now, 200_000_000) / 1_000_000) + 1)
    }
  }
}
