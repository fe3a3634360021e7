import AgentshAPI
import AgentshConfig
import AgentshSession
import Cgroup
import Hummingbird
import LinuxSystem
import Logging
import Synchronization

/// Before every route: who calls, and whether from inside a session. After it: errors as bodies.
struct PeerMiddleware: RouterMiddleware {
  let director: LaunchDirector
  let activity: Activity

  @concurrent func handle(
    _ request: Request, context: PeerContext,
    next: @concurrent (Request, PeerContext) async throws -> Response
  ) async throws -> Response {
    activity.enter()
    defer { activity.leave() }
    do {
      var context = context
      let (caller, process) = try await context.readCaller()
      guard caller.pid > 0 else {
        throw SessionError.forbidden("you are in another pid namespace: agentsh cannot tell who you are")
      }
      // Also who connected and left the connection to another: about that one nothing is known.
      guard let process, let isInside = director.isInside(caller.pid, process) else {
        throw SessionError.forbidden("the process that connected is gone: agentsh cannot tell who you are")
      }
      if isInside {
        throw SessionError(
          .forbidden, .insideSession, "a process inside a session may not use the API",
          hint: "run it outside, or ask the person who started the session")
      }
      context.caller = caller
      context.process = process
      return try await next(request, context)
    } catch let error as SessionError {
      return response(error.status.rawValue, error.body)
    } catch let error as any HTTPResponseError {
      return response(Int(error.status.code), Self.body(error))
    } catch {
      director.services.logger.error("\(request.method) \(request.uri.path): \(error)")
      return response(500, ErrorBody(error: "internal error", code: .failed))
    }
  }

  private static func body(_ error: any HTTPResponseError) -> ErrorBody {
    switch error.status {
    case .notFound: ErrorBody(error: "no such resource", code: .notFound)
    case .contentTooLarge:
      ErrorBody(error: "the body is over \(PeerContext.bodyLimit) bytes", code: .badRequest)
    default: ErrorBody(error: (error as? HTTPError)?.body ?? error.status.reasonPhrase, code: .badRequest)
    }
  }
}

extension LaunchDirector {
  /// Whether a process belongs to a session: a supervisor, something in a launch's control group, something below a
  /// supervisor or a recorded launcher, or (when its parents are gone, or the session is another daemon's) something
  /// under a filter that we are not under.
  /// nil when the process has ended, and its pid may be another's. DECISIONS 30
  func isInside(_ pid: Int32, _ process: SharedDescriptor) -> Bool? {
    // We ourselves never are; tests play daemon, client and supervisor in one process.
    if pid == currentProcess() { return false }
    var roots: Set<Int32> = []
    let launches = all
    for launch in launches {
      switch launch.session.launches[launch.id] {
      case .starting(let supervisor, let target), .running(let supervisor, let target),
        .detached(let supervisor, let target):
        roots.formUnion([supervisor, target])
      case .announced, nil: continue
      }
    }
    let chain = roots.isEmpty ? [] : ProcessFacts.ancestry(of: pid)
    let groups = launches.compactMap(\.group)
    let group = groups.isEmpty ? nil : CgroupPlace.group(of: pid)
    guard let facts = ProcessFacts(pid: pid), !process.processHasEnded else { return nil }
    if !roots.isDisjoint(with: chain) { return true }
    if let group, groups.contains(where: { $0.contains(group) }) { return true }
    return facts.noNewPrivileges && facts.filters > filtersOfOthers
  }

  /// Filters that everybody here is under (a container's). The machine's daemon may have more than its users: systemd's.
  private var filtersOfOthers: Int {
    services.locations.isSystem ? min(ownFilters, firstFilters) : ownFilters
  }
}

private let ownFilters = ProcessFacts(pid: currentProcess())?.filters ?? 0
private let firstFilters = ProcessFacts(pid: 1)?.filters ?? 0

/// Whether somebody uses the daemon: requests under way, and when the last one ended.
final class Activity: Sendable {
  private struct State {
    var running = 0
    var last: UInt64
  }
  private let state: Mutex<State>

  init() { state = Mutex(State(last: monotonicClock())) }

  func enter() { state.withLock { $0.running += 1 } }
  func leave() {
    state.withLock { state in
      state.running -= 1
      state.last = monotonicClock()
    }
  }

  /// Seconds without any request; 0 while one is under way.
  var idleSeconds: UInt64 {
    state.withLock { $0.running > 0 ? 0 : (monotonicClock() - $0.last) / 1_000_000_000 }
  }
}
