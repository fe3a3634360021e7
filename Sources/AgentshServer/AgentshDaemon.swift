import AgentshAudit
import AgentshConfig
import AgentshSession
import CLinux
import Hummingbird
import HummingbirdCore
import LinuxSystem
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// The daemon's life: set up, serve until told or idle, store what waits, end. Supervisors go on without it.
package enum AgentshDaemon {
  /// Requests under way may end in this time.
  static let graceSeconds: Int64 = 5

  /// What the API answers, as `GET /api/v1/sessions/{id}`.
  package static var routes: [String] { Routes.names }

  /// Returns the exit status.
  package static func run(_ options: DaemonOptions, environment: @Sendable (String) -> String?) async -> Int32
  {
    let logger = Logger(label: "agentshd") { StreamLogHandler.standardError(label: $0) }
    do throws(DaemonFailure) {
      let setup = try DaemonSetup(options, environment: environment, logger: logger)
      try await serve(setup.services, setup.director, setup.supervisorListener)
      withExtendedLifetime(setup.lock) {}
      return 0
    } catch {
      try? writeAll("agentshd: \(error)\n", to: 2)
      return 1
    }
  }

  private static func serve(
    _ services: Services, _ director: LaunchDirector, _ supervisors: SharedDescriptor
  ) async throws(DaemonFailure) {
    do {
      try NamedThread.start("supervisors") { director.acceptSupervisors(supervisors) }
      let activity = Activity()
      let routes = Routes(services: services, director: director, activity: activity)
      var group = ServiceGroupConfiguration(
        services: [
          .init(service: OnLoop(service: application(routes), executor: LoopExecutor(loop.next()))),
          .init(
            service: Housekeeping(services: services, director: director, activity: activity),
            successTerminationBehavior: .gracefullyShutdownGroup),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: services.logger)
      group.maximumGracefulShutdownDuration = .seconds(graceSeconds)
      try await runUntilToldToEnd(ServiceGroup(configuration: group))
    } catch { throw DaemonFailure("\(error)") }
    await close(services, director)
  }

  /// Being cancelled is being told to end, as SIGTERM is: what waits is stored first.
  private static func runUntilToldToEnd(_ group: ServiceGroup) async throws {
    let serving = Task { try await group.run() }
    try await withTaskCancellationHandler {
      try await serving.value
    } onCancel: {
      Task { await group.triggerGracefulShutdown() }
    }
  }

  /// With one loop no thread is woken to hand a connection to another.
  private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  private static func application(_ routes: Routes) -> some ApplicationProtocol {
    let services = routes.services
    let path = services.locations.socket
    let mode: UInt32 = services.locations.isSystem ? 0o666 : 0o600
    let counts = ConnectionCounts(limit: services.config.limits.connections)
    return Application(
      router: routes.router(),
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [ConnectionLimit(counts)], idleTimeout: .seconds(120))),
      configuration: .init(address: .unixDomainSocket(path: path), serverName: "agentsh"),
      onServerRunning: { _ in
        // Bound 0700 under our umask.
        let result = PathText(path).withAddress { rawCall(Int(SYS_fchmodat), Int(AT_FDCWD), $0, Int(mode)) }
        if result < 0 { services.logger.error("\(path): chmod: \(errnoText(Int32(-result)))") }
        services.logger.info("listening on \(path)")
      }, eventLoopGroupProvider: .shared(loop), logger: services.logger)
  }

  private static func close(_ services: Services, _ director: LaunchDirector) async {
    // Supervisors go on alone; what they send from now on is taken by the next daemon.
    for launch in director.all { launch.events.finish() }
    services.events.finish()
    let isStored = try? await onThread("close") { .success(services.intake.close(milliseconds: 5000)) }
    if isStored != true {
      services.logger.error(
        "not all events are in the database; the next daemon takes them from \(services.locations.intakeDirectory)"
      )
    }
    HandoffPlace.removeAll(below: services.locations.handoffDirectory)
    DaemonSetup.removeStale(services.locations.socket)
    DaemonSetup.removeStale(services.locations.supervisorSocket)
    services.logger.info("ended")
  }
}

/// A service whose tasks run on an event loop's thread where they have nowhere else to be.
private struct OnLoop<Inner: Service>: Service {
  let service: Inner
  let executor: LoopExecutor

  func run() async throws { try await withTaskExecutorPreference(executor) { try await service.run() } }
}

/// What is done every second: the end of an idle daemon, heartbeats of streams, old events.
struct Housekeeping: Service {
  let services: Services
  let director: LaunchDirector
  let activity: Activity
  private static let pruneSeconds = 3600

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var second = 0
      while !Task.isCancelled, !isIdle {
        if second % Self.pruneSeconds == 0 { await prune() }
        second += 1
        services.feed.wake()
        try? await Task.sleep(for: .seconds(1))
      }
    }
    services.feed.finish()
  }

  /// On demand, nothing runs, and nobody asked for long enough.
  private var isIdle: Bool {
    guard services.onDemand, services.config.idleTimeout > .zero, !director.isBusy else { return false }
    return activity.idleSeconds >= UInt64(max(1, services.config.idleTimeout.components.seconds))
  }

  private func prune() async {
    guard let retention = services.config.retention else { return }
    let age = UInt64(max(0, retention.components.seconds)) * 1_000_000_000
    let now = wallClock()
    guard age < now else { return }
    let services = services
    _ = try? await onThread("prune") { () -> Result<Void, SessionError> in
      do throws(AuditError) {
        while try services.store.prune(before: now - age) == 10_000 {}
      } catch { services.logger.error("\(error)") }
      return .success(())
    }
  }
}
