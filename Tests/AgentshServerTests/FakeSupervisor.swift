import AgentshWire
import CLinux
import Foundation
import LinuxSystem

/// A process that stands in for a launcher: a child of ours.
final class FakeLauncher: Sendable {
  let pid: Int32
  private let process: Mutexed

  final class Mutexed: @unchecked Sendable {  // Started before it is shared, then only asked and ended.
    let process = Process()
  }

  init(_ command: [String] = ["/bin/sleep", "100"]) throws {
    process = Mutexed()
    process.process.executableURL = URL(filePath: command[0])
    process.process.arguments = Array(command.dropFirst())
    try process.process.run()
    pid = process.process.processIdentifier
  }

  var isRunning: Bool { process.process.isRunning }
  deinit { process.process.terminate() }
}

/// A real seccomp listener: of a thread whose filter allows everything.
func makeListener() async throws -> Connection {
  try await blocking {
    var program = [sock_filter(code: 0x06, jt: 0, jf: 0, k: 0x7FFF_0000)]
    // PR_SET_NO_NEW_PRIVS, of this thread alone.
    rawCall(Int(SYS_prctl), 38, 1)
    // SECCOMP_FILTER_FLAG_NEW_LISTENER
    let listener = clinux_seccomp_install(&program, 1, 1 << 3)
    guard listener >= 0 else { throw Problem("seccomp: \(listener)") }
    return Connection(Int32(listener))
  }
}

/// Our side of a hand-off connection, later of the channel.
struct FakeSupervisor: Sendable {
  let connection: Connection
  /// Of one that prepared.
  var welcome: Welcome?

  /// Prepares where there is a token, sends a message with descriptors, and returns the answer's byte, nil when the
  /// connection was closed without one.
  static func handOff(
    _ message: [UInt8], _ descriptors: [Int32], to path: String, preparingWith token: [UInt8]? = nil,
    meanwhile: @Sendable () async throws -> Void = {}
  ) async throws -> (answer: UInt8?, FakeSupervisor) {
    var supervisor = FakeSupervisor(connection: try await blocking { try connect(path) })
    if let token {
      try await supervisor.send(HandoffMessage.prepare(token: token).bytes)
      guard try await supervisor.byte() == HandoffMessage.accepted else { throw Problem("not prepared") }
      supervisor.welcome = try await supervisor.expect(.welcome, Welcome.self)
    }
    try await meanwhile()
    let connection = supervisor.connection
    try await blocking {
      let sent = clinux_send_fds(
        connection.number, message, message.count, descriptors, Int32(descriptors.count))
      guard sent == message.count else { throw Problem("sendmsg: \(sent)") }
    }
    return (try await supervisor.byte(), supervisor)
  }

  private func byte() async throws -> UInt8? {
    let connection = connection
    return try await blocking { try read(1, connection)?.first }
  }

  func send(_ bytes: [UInt8]) async throws {
    let connection = connection
    try await blocking { try write(bytes, connection) }
  }

  /// The next frame; nil when the daemon has closed.
  func receive() async throws -> (kind: FrameKind, payload: [UInt8])? {
    let connection = connection
    return try await blocking {
      guard let head = try read(FrameHeader.size, connection) else { return nil }
      let header = try FrameHeader(head)
      guard let payload = try read(header.length, connection) else { return nil }
      return (header.kind, payload)
    }
  }

  func expect<T: WireCodable & Sendable>(_ kind: FrameKind, _: T.Type) async throws -> T {
    guard let frame = try await receive(), frame.kind == kind else { throw Problem("no \(kind)") }
    var reader = WireReader(frame.payload)
    return try reader.value(T.self)
  }
}

func fileRecord(_ path: String, denied: Bool = false) -> EventRecord {
  var record = EventRecord(kind: .file, timestamp: 1_700_000_000_000_000_000, pid: 42)
  record.path = path
  record.call = 257
  record.rule = -1
  record.effect = denied ? .blocked : .allowed
  record.verdict = denied ? 1 : 0
  return record
}
