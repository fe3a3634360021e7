/// Where things are, for one user's daemon or the system's: a pure function of who asks.
///
/// Client and daemon compute it from the same inputs, so that they meet. Nothing is created or looked at here;
/// `PrivateDirectory` does that.
package struct Locations: Sendable, Equatable {
  /// Sockets and the lock; 0700 for a user, 0755 for the system.
  package let runtimeDirectory: String
  /// The event store and the spools; 0700.
  package let stateDirectory: String
  package let configFile: String
  /// Searched in order for `NAME.yaml`.
  package let policyDirectories: [String]
  package let isSystem: Bool

  /// Where the API listens.
  package var socket: String { runtimeDirectory + "/agentsh.sock" }
  /// Where supervisors come back to after the daemon was away.
  package var supervisorSocket: String { runtimeDirectory + "/supervisor.sock" }
  /// Parent of the directories that hold one session's hand-off sockets.
  package var handoffDirectory: String { runtimeDirectory + "/handoff" }
  /// Held with `flock(2)` by the one daemon.
  package var lockFile: String { runtimeDirectory + "/agentshd.lock" }
  package var logFile: String { stateDirectory + "/agentshd.log" }
  package var database: String { stateDirectory + "/events.sqlite" }
  package var eventLog: String { stateDirectory + "/events.jsonl" }
  package var spoolDirectory: String { stateDirectory + "/spool" }
  /// Events that were taken and are not in the database yet.
  package var intakeDirectory: String { stateDirectory + "/intake" }

  /// What the system's daemon uses.
  package static let system = Locations(
    runtimeDirectory: "/run/agentsh", stateDirectory: "/var/lib/agentsh",
    configFile: "/etc/agentsh/config.yaml",
    policyDirectories: ["/etc/agentsh/policies"], isSystem: true)

  /// The places where a user's runtime directory may be, best first; all else is the same in each.
  ///
  /// Whoever needs it takes the first that `PrivateDirectory` can make or accept: `$XDG_RUNTIME_DIR/agentsh`, then
  /// `/tmp/agentsh-UID`, then (that one was made by somebody else) `~/.local/state/agentsh/run`.
  /// - Parameters:
  ///   - uid: the user's, as the kernel says it.
  ///   - home: from the user database, absolute; never the variable HOME.
  ///   - runtimeVariable: the value of XDG_RUNTIME_DIR; ignored when it is not absolute.
  /// - Throws: `.notAbsolute` for the home, `.socketPathTooLong` where a socket could not be bound.
  package static func candidates(
    uid: UInt32, home: String, runtimeVariable: String?
  ) throws(LocationError) -> [Locations] {
    guard home.hasPrefix("/"), !home.utf8.contains(0) else {
      throw .notAbsolute(what: "home directory", home)
    }
    let home = trimmed(home)
    let state = home + "/.local/state/agentsh"
    var runtime: [String] = []
    if let variable = runtimeVariable, variable.hasPrefix("/"), !variable.utf8.contains(0) {
      runtime.append(trimmed(variable) + "/agentsh")
    }
    runtime += ["/tmp/agentsh-\(uid)", state + "/run"]
    var result: [Locations] = []
    for directory in runtime {
      let locations = Locations(
        runtimeDirectory: directory, stateDirectory: state, configFile: home + "/.config/agentsh/config.yaml",
        policyDirectories: [home + "/.config/agentsh/policies", "/etc/agentsh/policies"], isSystem: false)
      do throws(LocationError) {
        try checkSocketPath(locations.supervisorSocket)
      } catch {
        // The last resort may be out of reach below a long home; the first choice may not.
        if result.isEmpty { throw error }
        continue
      }
      result.append(locations)
    }
    return result
  }

  /// The longest path that `bind(2)` takes: `sun_path` holds 108 bytes with the closing zero. `unix(7)`.
  package static let socketPathLimit = 107

  /// Throws `.socketPathTooLong` when a Unix socket could not be bound at `path`. `unix(7)`.
  package static func checkSocketPath(_ path: String) throws(LocationError) {
    if path.utf8.count > socketPathLimit { throw .socketPathTooLong(path) }
  }

  private static func trimmed(_ path: String) -> String {
    var path = path[...]
    while path.utf8.count > 1, path.hasSuffix("/") { path = path.dropLast() }
    return path == "/" ? "" : String(path)
  }
}

/// Why there is no place for something.
package enum LocationError: Error, Equatable, Sendable, CustomStringConvertible {
  case notAbsolute(what: String, String)
  case socketPathTooLong(String)

  package var description: String {
    switch self {
    case .notAbsolute(let what, let path): "the \(what) is not an absolute path: \"\(path)\""
    case .socketPathTooLong(let path):
      """
      the socket path \(path) has \(path.utf8.count) bytes, the kernel takes \(Locations.socketPathLimit) \
      (set XDG_RUNTIME_DIR to a shorter directory)
      """
    }
  }
}
