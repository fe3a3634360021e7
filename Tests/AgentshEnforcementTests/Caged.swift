import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import Foundation
import Harness
import LinuxSystem
import Seccomp
import Synchronization
import Testing

/// A program under a filter of its own that a Mediator of this process serves; only execs and calls that name
/// processes are notified.
final class Caged {
  let output: String
  let status: Int32
  let records: [EventRecord]

  struct Failure: Error { let what: String }

  /// Runs `words` under `policy` to its end.
  init(_ words: [String], _ rules: PolicyRules, environment: [String: String] = [:], seconds: Double = 30)
    throws
  {
    let cage = try Programs.fixture("cage")
    var sockets: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &sockets) == 0
    else {
      throw Failure(what: "socketpair")
    }
    let capture = FileManager.default.temporaryDirectory.appendingPathComponent("caged-\(UUID().uuidString)")
      .path
    defer { unlink(capture) }
    let file = Glibc.open(capture, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    let all = ["PATH": "/usr/bin:/bin"].merging(environment) { _, new in new }
    let pid = try Self.spawn(cage, [cage, "3"] + words, all, [0, file, file, sockets[1]])
    close(sockets[1])
    let session = try Session(pid, sockets[0], rules)
    status = try session.finish(seconds: seconds)
    close(sockets[0])
    close(file)
    output = (try? String(contentsOfFile: capture, encoding: .utf8)) ?? ""
    records = session.records()
  }

  private static func spawn(
    _ path: String, _ words: [String], _ environment: [String: String], _ descriptors: [Int32]
  ) throws -> Int32 {
    var argv = words.map { strdup($0) } + [nil]
    var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var request = clinux_spawn()
    var pidfd: Int32 = -1
    var stage: Int32 = 0
    let pid = descriptors.withUnsafeBufferPointer { fds in
      argv.withUnsafeMutableBufferPointer { argv in
        envp.withUnsafeMutableBufferPointer { envp in
          path.withCString { path in
            request.path = path
            request.argv = UnsafePointer(argv.baseAddress)
            request.envp = UnsafePointer(envp.baseAddress)
            request.fds = fds.baseAddress
            request.fd_count = Int32(fds.count)
            return clinux_spawn(&request, &pidfd, &stage)
          }
        }
      }
    }
    guard pid > 0 else { throw Failure(what: "spawn: \(pid) at \(stage)") }
    close(pidfd)
    return Int32(pid)
  }
}

/// What the supervisor does, as far as these calls need it.
private final class Session: Sendable {
  let pid: Int32
  let mediator: Mediator
  let recorder: Recorder
  private let helpers: HelperPool
  /// Nobody has the filter any more.
  private let isOver = Atomic(false)

  init(_ pid: Int32, _ socket: Int32, _ rules: PolicyRules) throws {
    self.pid = pid
    var byte: UInt8 = 0
    var received: Int32 = -1
    var count: Int32 = 0
    var truncated: Int32 = 0
    let got = clinux_receive_fds(socket, &byte, 1, &received, 1, &count, &truncated)
    guard got == 1, count == 1 else {
      var status: Int32 = 0
      waitpid(pid, &status, WNOHANG)
      throw Caged.Failure(
        what: "no listener: \(got), \(count) descriptors, truncated \(truncated), status \(status)")
    }
    let listener = received
    let processes = ProcessTable(target: pid, tellsDepths: rules.tellsDepths)
    recorder = Recorder(processes: processes, logAllowed: true)
    let helpers = HelperPool(listener: listener)
    self.helpers = helpers
    let mediator = Mediator(
      policy: try CompiledPolicy(rules), frame: try Frame(target: pid, tty: nil), recorder: recorder,
      processes: processes, helpers: helpers)
    self.mediator = mediator
    helpers.setBody {
      var scratch = Scratch(policy: mediator.policy, mayBlock: true)
      while true { mediator.handle(helpers.next(&scratch.reply), &scratch) }
    }
    try NamedThread.start("receiver") { [self] in
      let source = Listener(owning: FileDescriptor(owning: listener))
      var scratch = Scratch(policy: mediator.policy, mayBlock: false)
      while true {
        switch source.receive() {
        case .notification(let notification): mediator.handle(notification, &scratch)
        case .nothing: continue
        case .closed:
          isOver.store(true, ordering: .releasing)
          return
        }
      }
    }
    byte = 1
    write(socket, &byte, 1)
  }

  /// As a shell says it: exit code, or 128 + the signal.
  func finish(seconds: Double) throws -> Int32 {
    let end = Date(timeIntervalSinceNow: seconds)
    while Date() < end {
      var status: Int32 = 0
      var found: Int32 = 0
      _ = mediator.gate.whileIdle { found = waitpid(pid, &status, WNOHANG) }
      if found == pid {
        // A helper that ends the tree ends all children of this process: the next session's, too. One that the first
        // process left behind may still be asking for that.
        while !isOver.load(ordering: .acquiring) || helpers.isBusy, Date() < end { usleep(1000) }
        return clinux_wifexited(status) != 0 ? clinux_wexitstatus(status) : 128 + clinux_wtermsig(status)
      }
      usleep(2000)
    }
    kill(pid, SIGKILL)
    throw Caged.Failure(what: "timed out")
  }

  func records() -> [EventRecord] {
    var buffer = WireWriter()
    guard let batch = recorder.drain(into: &buffer) else { return [] }
    var reader = WireReader(buffer.bytes)
    return (0..<batch.count).compactMap { _ in try? reader.value(EventRecord.self) }
  }
}

extension PolicyRules {
  /// Everything but what matches `denied`; `arguments` deny a command by what it is told.
  static func denying(_ denied: [String], arguments: [String] = []) -> PolicyRules {
    var rules = PolicyRules()
    var deny = CommandRule(name: "denied", commands: denied, decision: .deny)
    deny.argumentPatterns = arguments
    rules.commandRules = [deny, CommandRule(name: "others", commands: [], decision: .allow)]
    return rules
  }

  static var allowingAll: PolicyRules {
    var rules = PolicyRules()
    rules.commandRules = [CommandRule(name: "all", commands: ["*"], decision: .allow)]
    return rules
  }

  static func allowing(_ allowed: [String]) -> PolicyRules {
    var rules = PolicyRules()
    rules.commandRules = [CommandRule(name: "some", commands: allowed, decision: .allow)]
    return rules
  }
}
