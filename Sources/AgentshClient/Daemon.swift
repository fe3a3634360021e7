package import AgentshConfig
import CLinux
import LinuxSystem

/// Finding the caller's daemon, starting it where there is none, and a checked connection to it.
package struct Daemon: Sendable {
  /// What the command line says about it.
  package struct Options: Sendable, Equatable {
    /// This socket and no other; nothing is started.
    package var socket: String?
    /// For a daemon that is started now.
    package var config: String?
    /// Start the user's daemon where none answers.
    package var start = true
    package init() {}
  }

  package let account: Account
  package let programs: InstalledPrograms
  /// The machine's daemon and its places; a test has others.
  package let system: Locations
  /// XDG_RUNTIME_DIR.
  package let runtimeVariable: String?

  package init(
    account: Account, programs: InstalledPrograms, runtimeVariable: String?, system: Locations = .system
  ) {
    self.account = account
    self.programs = programs
    self.runtimeVariable = runtimeVariable
    self.system = system
  }

  /// Of this process, from its environment.
  package static func current(environment: (String) -> String?) throws(ClientError) -> Daemon {
    Daemon(
      account: try .current(homeVariable: environment("HOME")), programs: try .ofThisProcess(),
      runtimeVariable: environment("XDG_RUNTIME_DIR"))
  }

  /// The machine's daemon where there is one, else the caller's own, which is started if need be.
  package func connect(_ options: Options) throws(ClientError) -> APIClient {
    if let path = options.socket { return try client(to: path) }
    if let client = try systemClient(options) { return client }
    let locations = try userLocations()
    do throws(ClientError) {
      let client = try client(to: locations.socket)
      if options.config != nil { throw .configurationTooLate(path: locations.socket) }
      return client
    } catch {
      guard case .noDaemon = error, options.start else { throw error }
    }
    return try DaemonStarter(daemon: self, locations: locations, config: options.config).start()
  }

  /// Where the daemon is looked for, best first.
  package func sockets(_ options: Options) throws(ClientError) -> [String] {
    if let path = options.socket { return [path] }
    return [system.socket, try userLocations().socket]
  }

  /// The operator's daemon serves everybody. One that is down is not passed over: its policies bind.
  private func systemClient(_ options: Options) throws(ClientError) -> APIClient? {
    do throws(ClientError) {
      let client = try client(to: system.socket)
      if options.config != nil { throw .configurationTooLate(path: system.socket) }
      return client
    } catch {
      if case .noDaemon(_, let cause) = error, cause.errno == ENOENT || cause.errno == ENOTDIR { return nil }
      throw error
    }
  }

  package func userLocations() throws(ClientError) -> Locations {
    do throws(NoRuntimeDirectory) {
      return try Locations.prepare(uid: account.uid, home: account.home, runtimeVariable: runtimeVariable)
    } catch {
      throw .noLocation("\(error)")
    }
  }

  /// A connection whose other side is known.
  package func client(to path: String) throws(ClientError) -> APIClient {
    var number: Int32 = -1
    do throws(SystemCallError) {
      number = try UnixSocket.connect(to: path).release()
    } catch {
      switch error.errno {
      case ENOENT, ENOTDIR, ECONNREFUSED: throw .noDaemon(path: path, error)
      default: throw .notReachable(path: path, error)
      }
    }
    let socket = FileDescriptor(owning: number)
    let peer: UnixSocket.Peer
    do throws(SystemCallError) { peer = try UnixSocket.peer(of: socket) } catch {
      throw .notReachable(path: path, error)
    }
    if let objection = try trust().objection(to: peer) {
      // A daemon that is just dying still has its queue: nobody answers there, as if nobody had listened.
      if isEnding(peer.pid) { throw .noDaemon(path: path, SystemCallError("connect", ECONNREFUSED)) }
      throw .untrusted(path: path, reason: objection)
    }
    return APIClient(connection: HTTPConnection(owning: socket.release()), socket: path, peer: peer)
  }

  /// A process without a program any more: a zombie, or gone. `proc_pid_exe(5)`
  private func isEnding(_ pid: Int32) -> Bool {
    var text = PathText()
    return ProcPath(pid, "exe").readLink(into: &text) == -Int(ENOENT)
  }

  private func trust() throws(ClientError) -> DaemonTrust {
    DaemonTrust(ownUID: account.uid, daemon: try programs.path(of: "agentshd"))
  }
}
