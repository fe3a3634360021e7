import AgentshClient
import AgentshConfig
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
  private let process = Process()

  init(_ path: String, uid: UInt32) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "python3", "-c",
      """
      import os, socket, sys
      s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666)
      if int(sys.argv[2]) != os.getuid(): os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
      s.listen(5); print("up", flush=True); sys.stdin.read()
      """, path, String(uid),
    ]
    let output = Pipe()
    process.standardInput = Pipe()
    process.standardOutput = output
    try process.run()
    _ = output.fileHandleForReading.readData(ofLength: 3)
  }

  func end() {
    process.terminate()
    process.waitUntilExit()
  }
}
