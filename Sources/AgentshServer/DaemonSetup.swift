import AgentshAudit
import AgentshConfig
import AgentshSession
import CLinux
import LinuxSystem
import Logging

/// Everything that is ready before the first connection: places, lock, store, sockets.
struct DaemonSetup {
  let services: Services
  let director: LaunchDirector
  let supervisorListener: SharedDescriptor
  let lock: DaemonLock

  /// Blocks. Throws a sentence for the person who started it; nothing is left running then.
  init(_ options: DaemonOptions, environment: (String) -> String?, logger: Logger) throws(DaemonFailure) {
    // Sockets and files are ours alone until somebody widens them.
    setFileCreationMask(0o077)
    // A peer that went away is an error of the write, not our end.
    ignore(SIGPIPE)
    let home = if let given = options.home { given } else { try Self.home(environment) }
    let locations = try Self.locations(options, home, environment)
    let deadline = monotonicClock() + Self.lockNanoseconds
    let waits = options.mode == .onDemand
    lock = try Self.asFailure { () throws(DaemonLock.Failure) in
      try DaemonLock(locations.lockFile) { waits && Self.isWaitedFor() && monotonicClock() < deadline }
    }
    let config = try Self.asFailure { () throws(LoadFailure) in
      try ServerConfig(file: options.config ?? locations.configFile, optional: options.config == nil)
    }
    if locations.isSystem { try Self.checkOperatorFiles(options, locations, config) }
    try Self.makeDirectories(locations)
    HandoffPlace.removeAll(below: locations.handoffDirectory)
    services = try Self.services(options, locations, config, home, logger)
    director = LaunchDirector(services)
    director.restore()
    supervisorListener = try Self.listen(locations)
  }

  private static func home(_ environment: (String) -> String?) throws(DaemonFailure) -> String {
    let entry = try asFailure { () throws(SystemCallError) in try userEntry(uid: currentUser()) }
    if let entry { return entry.home }
    guard let home = environment("HOME"), home.hasPrefix("/") else {
      throw DaemonFailure("uid \(currentUser()) is not in the user database, and HOME is not set")
    }
    return home
  }

  private static func locations(
    _ options: DaemonOptions, _ home: String, _ environment: (String) -> String?
  ) throws(DaemonFailure) -> Locations {
    guard options.mode == .system else {
      return try asFailure { () throws(NoRuntimeDirectory) in
        try Locations.prepare(uid: currentUser(), home: home, runtimeVariable: environment("XDG_RUNTIME_DIR"))
      }
    }
    guard currentUser() == 0 else { throw DaemonFailure("--system wants root") }
    _ = try asFailure { () throws(PrivateDirectoryError) in
      try PrivateDirectory.open(Locations.system.runtimeDirectory, ownedBy: 0, mode: 0o755).release()
    }
    return .system
  }

  /// A daemon for all users does not start under a configuration or policies that one of them could change.
  private static func checkOperatorFiles(
    _ options: DaemonOptions, _ locations: Locations, _ config: ServerConfig
  ) throws(DaemonFailure) {
    let directories = config.policyDirectory.map { [$0] } ?? locations.policyDirectories
    for path in [options.config ?? locations.configFile] + directories {
      if let objection = OperatorFile.objection(to: path) { throw DaemonFailure(objection) }
      for name in directoryNames(path) {
        if let objection = OperatorFile.objection(to: path + "/" + name) { throw DaemonFailure(objection) }
      }
    }
  }

  private static func makeDirectories(_ locations: Locations) throws(DaemonFailure) {
    // Others pass through the hand-off directory of the machine's daemon to directories of their own.
    let handoffMode: UInt32 = locations.isSystem ? 0o711 : 0o700
    let wanted: [(String, UInt32)] = [
      (locations.stateDirectory, 0o700), (locations.spoolDirectory, 0o700),
      (locations.stateDirectory + "/launches", 0o700), (locations.intakeDirectory, 0o700),
      (locations.handoffDirectory, handoffMode),
    ]
    for (path, mode) in wanted {
      _ = try asFailure { () throws(PrivateDirectoryError) in
        try PrivateDirectory.open(path, ownedBy: currentUser(), mode: mode).release()
      }
    }
  }

  private static func services(
    _ options: DaemonOptions, _ locations: Locations, _ config: ServerConfig, _ home: String, _ logger: Logger
  ) throws(DaemonFailure) -> Services {
    guard let programs = options.programs.map(Programs.init(below:)) ?? Programs() else {
      throw DaemonFailure("/proc/self/exe cannot be read: is /proc mounted?")
    }
    let settings = EventStore.Settings(
      databasePath: config.database ?? locations.database, journalPath: config.eventLog ?? locations.eventLog)
    let store = try asFailure { () throws(AuditError) in try EventStore(settings) }
    let feed = EventFeed()
    let intake = try intake(locations, store, feed, logger)
    return Services(
      locations: locations, config: config, configFile: options.config ?? locations.configFile,
      programs: programs, store: store, intake: intake,
      events: OwnEvents(intake, stream: LaunchID.random().number),
      lifecycle: LifecycleEvents(clock: wallClock),
      registry: SessionRegistry(perOwnerLimit: config.limits.sessions),
      approvals: ApprovalStore(
        perOwnerLimit: config.limits.approvals, monotonic: monotonicClock, wall: wallClock),
      records: LaunchRecords(directory: locations.stateDirectory + "/launches"), feed: feed, logger: logger,
      enforcement: config.enforcement,
      onDemand: options.mode == .onDemand, home: home, startedAt: wallClock())
  }

  private static func intake(
    _ locations: Locations, _ store: EventStore, _ feed: EventFeed, _ logger: Logger
  ) throws(DaemonFailure) -> EventIntake {
    var listener = EventIntake.Listener()
    listener.onStored = { feed.wake() }
    listener.onFailure = { logger.error("\($0); trying again") }
    listener.onBad = { logger.error("\($0)") }
    listener.isWatched = { feed.hasFollowers }
    return try asFailure { () throws(SystemCallError) in
      try EventIntake(
        EventIntake.Settings(directory: locations.intakeDirectory), store: store,
        decode: { try IntakeHead($0).source }, listener: listener)
    }
  }

  /// A daemon that is ending takes no more connections, and has its lock until all is stored: so long does the next one
  /// wait. Less than a client waits for it.
  private static let lockNanoseconds: UInt64 = 9_000_000_000

  /// Pauses. False when the client that started us is gone, or has an answer from another daemon: it has closed our
  /// standard input. `pipe(7)`
  private static func isWaitedFor() -> Bool {
    poll([(0, 0)], milliseconds: 20)[0] & Int16(POLLHUP | POLLERR) == 0
  }

  /// `supervisor.sock`. Others' supervisors come to the machine's daemon; they prove themselves by key and kernel.
  private static func listen(_ locations: Locations) throws(DaemonFailure) -> SharedDescriptor {
    removeStale(locations.supervisorSocket)
    removeStale(locations.socket)
    do throws(SystemCallError) {
      return SharedDescriptor(
        try ServerSocket.listen(at: locations.supervisorSocket, mode: locations.isSystem ? 0o666 : 0o600))
    } catch { throw DaemonFailure("\(locations.supervisorSocket): \(error)") }
  }

  /// We hold the lock, so nobody listens there. Only a socket is removed; anything else makes bind fail.
  static func removeStale(_ path: String) {
    var status = stat()
    guard statAt(AT_FDCWD, PathText(path), &status, flags: AT_SYMLINK_NOFOLLOW) == 0,
      FileType(mode: status.st_mode) == .socket
    else { return }
    _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
  }

  private static func asFailure<T: ~Copyable, E: Error>(_ body: () throws(E) -> T) throws(DaemonFailure) -> T
  {
    do throws(E) { return try body() } catch { throw DaemonFailure("\(error)") }
  }
}
