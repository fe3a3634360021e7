import AgentshClient
import AgentshConfig
import LinuxSystem
import Foundation
import Testing

@Suite struct DaemonTrustTests {
  private let trust = DaemonTrust(ownUID: 1000, daemon: "/usr/local/libexec/agentsh/agentshd")

  @Test func rootAndTheInstalledDaemonOfOursAreTrusted() {
    #expect(trust.objection(to: .init(pid: 7, uid: 0)) { _ in nil } == nil)
    #expect(trust.objection(to: .init(pid: 7, uid: 1000)) { _ in trust.daemon } == nil)
    #expect(trust.objection(to: .init(pid: 7, uid: 1000)) { _ in trust.daemon + " (deleted)" } == nil)
  }

  @Test func everybodyElseIsNot() {
    #expect(trust.objection(to: .init(pid: 7, uid: 1001)) { _ in trust.daemon } != nil)
    #expect(trust.objection(to: .init(pid: 7, uid: 1000)) { _ in "/tmp/agentshd" } != nil)
    #expect(trust.objection(to: .init(pid: 7, uid: 1000)) { _ in "/usr/bin/python3" } != nil)
    #expect(trust.objection(to: .init(pid: 7, uid: 1000)) { _ in nil } != nil)
    #expect(trust.objection(to: .init(pid: 0, uid: 1000)) { _ in trust.daemon } != nil)
  }

  @Test func rootTrustsOnlyTheInstalledDaemonOfRoot() {
    let trust = DaemonTrust(ownUID: 0, daemon: "/usr/libexec/agentsh/agentshd")
    #expect(trust.objection(to: .init(pid: 7, uid: 0)) { _ in "/usr/bin/python3" } != nil)
    #expect(trust.objection(to: .init(pid: 7, uid: 1000)) { _ in trust.daemon } != nil)
  }

  /// A real listener that is not the daemon: of our own uid and, as root, of another.
  @Test func aListenerOfTheRightNameIsRefusedByWhatTheKernelSays() throws {
    let directory = try Scratch()
    try directory.put("bin/agentshd", "#!/bin/sh\n", mode: 0o755)
    for uid in getuid() == 0 ? [getuid(), 65534] : [getuid()] {
      let path = directory.path + "/\(uid).sock"
      let listener = try Listener(path, uid: uid)
      defer { listener.end() }
      let daemon = Daemon(
        account: Account(uid: getuid(), home: directory.path),
        programs: InstalledPrograms(executable: directory.path + "/bin/agentsh"), runtimeVariable: nil)
      do {
        _ = try daemon.client(to: path)
        Issue.record("uid \(uid) was trusted")
      } catch {
        guard case .untrusted(_, let reason) = error else {
          Issue.record("\(error)")
          continue
        }
        #expect(reason.contains(uid == getuid() ? "runs" : "uid \(uid)"))
      }
    }
  }

  @Test func nobodyListeningIsToldFromAStaleSocket() throws {
    let directory = try Scratch()
    try directory.put("bin/agentshd", "#!/bin/sh\n", mode: 0o755)
    let daemon = Daemon(
      account: Account(uid: getuid(), home: directory.path),
      programs: InstalledPrograms(executable: directory.path + "/bin/agentsh"), runtimeVariable: nil)
    let path = directory.path + "/stale.sock"
    do {
      _ = try daemon.client(to: path)
      Issue.record("connected")
    } catch { #expect("\(error)".contains("ENOENT")) }
    let listener = try Listener(path, uid: getuid())
    listener.end()
    do {
      _ = try daemon.client(to: path)
      Issue.record("connected")
    } catch {
      #expect("\(error)".contains("ECONNREFUSED"))
      #expect(error.hint?.contains("stale") == true)
    }
  }

  @Test func aPathThatIsTooLongIsSaid() throws {
    #expect(throws: (any Error).self) {
      _ = try UnixSocket.connect(to: "/tmp/" + String(repeating: "x", count: 200))
    }
  }
}

/// A directory that goes with the value.
final class Scratch {
  let path: String
  init() throws {
    var template = Array("/tmp/agentsh-test-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template)!)
    chmod(path, 0o755)
  }
  func put(_ name: String, _ text: String, mode: mode_t) throws {
    let file = path + "/" + name
    try FileManager.default.createDirectory(
      atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try text.write(toFile: file, atomically: false, encoding: .utf8)
    chmod(file, mode)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A process of some uid that listens on a socket and says nothing.
final class Listener {
  private let pid: pid_t

  init(_ path: String, uid: UInt32) throws {
    let script = """
      import os, signal, socket, sys
      s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666)
      if int(sys.argv[2]) != os.getuid(): os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
      s.listen(5); os.write(1, b"up"); signal.pause()
      """
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    let arguments: [String] = ["python3", "-c", script, path, String(uid)]
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var child = pid_t()
    let spawned = posix_spawnp(&child, "python3", &actions, nil, &words, environ)
    pid = child
    try #require(spawned == 0)
    close(ends[1])
    var ready: [UInt8] = [0, 0]
    let count = read(ends[0], &ready, 2)
    close(ends[0])
    try #require(count == 2)
  }

  func end() {
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }
}
