import AgentshServer
import AgentshSession
import CLinux
import Cgroup
import Foundation
import LinuxSystem

/// A whole daemon in this process, with directories of its own.
final class TestDaemon: Sendable {
  let scratch: String
  let workspace: String
  private let task: Task<Int32, Never>

  init(config: String = "", supervisorScript: String = "exit 1") async throws {
    // Socket paths are short.
    scratch = "/tmp/agentshd-test-\(UInt32.random(in: 0 ... .max))"
    workspace = scratch + "/ws"
    let files = FileManager.default
    for name in ["ws", "run", "home", "bin"] {
      try files.createDirectory(
        atPath: scratch + "/" + name, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
    }
    for (name, text) in [("agentsh-launch", "exit 1"), ("agentsh-supervisor", supervisorScript)] {
      let path = scratch + "/bin/" + name
      try Data("#!/bin/sh\n\(text)\n".utf8).write(to: URL(filePath: path))
      try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }
    var options = DaemonOptions()
    options.home = scratch + "/home"
    options.programs = scratch + "/bin"
    if !config.isEmpty {
      options.config = scratch + "/config.yaml"
      try Data(config.utf8).write(to: URL(filePath: scratch + "/config.yaml"))
    }
    task = Self.start(options, scratch)
    try await waitUntilReady()
  }

  private init(after other: TestDaemon) async throws {
    scratch = other.scratch
    workspace = other.workspace
    var options = DaemonOptions()
    options.home = scratch + "/home"
    options.programs = scratch + "/bin"
    task = Self.start(options, scratch)
    try await waitUntilReady()
  }

  private static func start(_ options: DaemonOptions, _ scratch: String) -> Task<Int32, Never> {
    Task { await AgentshDaemon.run(options) { $0 == "XDG_RUNTIME_DIR" ? scratch + "/run" : nil } }
  }

  private func waitUntilReady() async throws {
    for _ in 0..<500 {
      if let answer = try? await send("GET", "/health"), answer.status == 200 { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Problem("the daemon does not answer")
  }

  var socket: String { scratch + "/run/agentsh/agentsh.sock" }
  var supervisorSocket: String { scratch + "/run/agentsh/supervisor.sock" }

  /// Ends the daemon; its directories stay.
  @discardableResult
  func stop() async -> Int32 {
    task.cancel()
    return await task.value
  }

  /// Another daemon on the same directories.
  func restarted() async throws -> TestDaemon {
    await stop()
    return try await TestDaemon(after: self)
  }

  deinit {
    removeGroups()
    try? FileManager.default.removeItem(atPath: scratch)
  }

  /// Control groups of launches that nobody ended, and who is in them.
  private func removeGroups() {
    let launches = scratch + "/home/.local/state/agentsh/launches/"
    for file in (try? FileManager.default.contentsOfDirectory(atPath: launches)) ?? [] {
      guard file.hasSuffix(".group"),
        let name = try? String(contentsOfFile: launches + file, encoding: .utf8),
        let directory = CgroupPlace.directory(of: name), let tree = try? CgroupTree.open(at: directory)
      else { continue }
      try? tree.kill()
      _ = try? tree.waitUntilEmpty(milliseconds: 2000)
      try? tree.remove()
    }
  }
}

struct Problem: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

struct Answer {
  let status: Int
  let body: Data

  var json: [String: Any] { (try? JSONSerialization.jsonObject(with: body) as? [String: Any]) ?? [:] }
  var list: [[String: Any]] { (try? JSONSerialization.jsonObject(with: body) as? [[String: Any]]) ?? [] }
  var text: String { String(decoding: body, as: UTF8.self) }
  var error: String { json["error"] as? String ?? "" }
  var code: String { json["code"] as? String ?? "" }
}

extension TestDaemon {
  /// One request on a connection of its own.
  func send(_ method: String, _ path: String, _ body: String = "", headers: [String] = []) async throws
    -> Answer
  {
    try await send(method, path, bytes: Array(body.utf8), headers: headers)
  }

  func send(_ method: String, _ path: String, bytes: [UInt8], headers: [String]) async throws -> Answer {
    let socket = socket
    let lines = [
      "\(method) \(path) HTTP/1.1", "Host: x", "Connection: close", "Content-Length: \(bytes.count)",
    ]
    let head = (lines + headers).joined(separator: "\r\n") + "\r\n\r\n"
    return try await blocking {
      let connection = try connect(socket)
      try write(Array(head.utf8) + bytes, connection)
      return try parse(try readToEnd(connection))
    }
  }

  func createSession(_ fields: String = "") async throws -> String {
    let answer = try await send("POST", "/api/v1/sessions", "{\"workspace\":\"\(workspace)\"\(fields)}")
    guard answer.status == 201, let id = answer.json["id"] as? String else { throw Problem(answer.text) }
    return id
  }

  /// Types of a session's events, in the order they were stored.
  func eventTypes(_ session: String) async throws -> [String] {
    try await send("GET", "/api/v1/sessions/\(session)/history?order=asc&limit=1000").list
      .compactMap { $0["type"] as? String }
  }

  func waitForEvent(_ type: String, in session: String) async throws {
    for _ in 0..<250 {
      if try await eventTypes(session).contains(type) { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Problem("no event \(type): \(try await eventTypes(session))")
  }
}

/// Off the cooperative pool, where the daemon works too.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    Thread { continuation.resume(with: Result { try body() }) }.start()
  }
}

/// A connected Unix socket, closed by the last who holds it.
final class Connection: Sendable {
  let number: Int32
  init(_ number: Int32) { self.number = number }
  deinit { close(number) }
}

func connect(_ path: String) throws -> Connection {
  let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
  var address = sockaddr_un()
  address.sun_family = UInt16(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
  let result = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
  guard result == 0 else {
    close(number)
    throw Problem("connect \(path): \(errno)")
  }
  return Connection(number)
}

func write(_ bytes: [UInt8], _ connection: Connection) throws {
  guard send(connection.number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
    throw Problem("send: \(errno)")
  }
}

/// nil at the end of the stream.
func read(_ count: Int, _ connection: Connection) throws -> [UInt8]? {
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while bytes.count < count {
    let got = recv(connection.number, &buffer, min(buffer.count, count - bytes.count), 0)
    if got <= 0 { return nil }
    bytes += buffer[..<got]
  }
  return bytes
}

private func readToEnd(_ connection: Connection) throws -> [UInt8] {
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let got = recv(connection.number, &buffer, buffer.count, 0)
    if got < 0 { throw Problem("recv: \(errno)") }
    if got == 0 { return bytes }
    bytes += buffer[..<got]
  }
}

private func parse(_ bytes: [UInt8]) throws -> Answer {
  let data = Data(bytes)
  guard let end = data.range(of: Data("\r\n\r\n".utf8)) else { throw Problem("no answer") }
  let head = String(decoding: data[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
  guard let status = head.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
    throw Problem("no status")
  }
  return Answer(status: status, body: data[end.upperBound...])
}
