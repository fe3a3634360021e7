import Foundation
import Harness

/// A place with things that somebody has to approve first, and the policy that says so.
final class Approving {
  let place: Place
  /// In a directory where everything asks.
  let asked: String
  /// Free.
  let free: String
  let policy: String
  private let server: Running
  let port: String

  /// `seconds`: how long a call waits.
  init(as caller: Caller, seconds: Int = 60, config: String? = nil) throws {
    place = try Place(as: caller)
    for folder in ["asked", "free"] { try place.makeDirectory(place.outside + "/" + folder) }
    asked = place.outside + "/asked"
    free = place.outside + "/free"
    for name in ["a", "b"] { try place.write("\(name) of asked\n", to: asked + "/" + name) }
    try place.write("free\n", to: free + "/f")
    if let config { try place.configure(config) }
    server = try place.start([
      place.install("server", at: place.outside + "/server"), "tcp:reached",
      "unix:\(place.outside)/asked.sock",
    ])
    guard eventually({ [server] in server.outputSoFar.contains("ready\n") }) else {
      throw HarnessError("the server does not start")
    }
    port =
      server.outputSoFar.split(separator: "\n").map { $0.split(separator: " ") }
      .first { $0.first == "reached" }.map { String($0[1]) } ?? "0"
    let more = "decision: approve, timeout: \(seconds)s, message: look first"
    policy = try place.policy(
      """
      file_rules:
        - {name: ask-file, paths: ["\(asked)/**"], operations: [read, write, create, delete, rename, link, mkdir, chmod], \(more)}
        - {name: ask-look, paths: ["\(place.outside)/seen"], operations: [stat], \(more)}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: ask-id, commands: [id, "\(place.outside)/tool"], \(more)}
        - {name: rest, commands: ["*"], decision: allow}
      network_rules:
        - {name: ask-port, domains: ["*"], ports: [\(port)], \(more)}
        - {name: rest, domains: ["*"], decision: allow}
      unix_socket_rules:
        - {name: ask-socket, paths: ["\(place.outside)/*.sock"], \(more)}
        - {name: rest, paths: ["**"], decision: allow}
      """)
  }

  func start(_ script: String) throws -> Running {
    try place.start(place.wrapping(["sh", "-c", script], policy: policy, options: ["--quiet"]))
  }

  /// What waits, by `agentsh approve list`.
  func waiting() throws -> [[String: Any]] {
    let said = try place.agentsh(["approve", "list"])
    guard let list = try? JSONSerialization.jsonObject(with: Data(said.output.utf8)) as? [[String: Any]]
    else { return [] }
    return list
  }

  /// Waits until `count` wait.
  func held(_ count: Int = 1) throws -> [[String: Any]] {
    var found: [[String: Any]] = []
    guard
      try eventually(
        within: .seconds(20),
        {
          found = try waiting()
          return found.count == count
        })
    else { throw HarnessError("\(count) approvals were to wait: \(found)") }
    return found
  }

  @discardableResult
  func answer(_ call: [String: Any], allow: Bool) throws -> Outcome {
    try place.agentsh(
      [
        "approve", "resolve", call["id"] as? String ?? "?", allow ? "--allow" : "--deny", "--reason",
        "because",
      ])
  }

  /// The events of one rule that say what was decided, with their `fields.reason`.
  func reasons(_ rule: String) throws -> [String] {
    try place.events().compactMap { event in
      guard let policy = event["policy"] as? [String: Any], policy["rule"] as? String == rule else {
        return nil
      }
      let reason = (event["fields"] as? [String: Any])?["reason"] as? String ?? ""
      return "\(policy["effective_decision"] ?? "?") \(reason)"
    }
  }
}
