import Foundation
import Harness
import Testing

/// A place with something secret, something forbidden and ports that may not be reached, and the policy that says so.
final class Sandbox {
  let place: Place
  let policy: String
  private let rules: String
  /// Holds SECRET; no operation on it or its directory is allowed.
  let secret: String
  /// May be read, not changed.
  let fixed: String
  /// May be deleted and looked at, not read, linked or renamed.
  let unread: String
  /// May be written, not cut.
  let log: String
  /// May not be executed.
  let forbidden: String
  let tricks: String
  let race: String
  let attributes: String
  private let server: Running
  private let ports: [String: String]

  init(as caller: Caller) throws {
    place = try Place(as: caller)
    for folder in ["secret", "fixed", "unread", "log", "open"] {
      try place.makeDirectory(place.outside + "/" + folder)
    }
    secret = place.outside + "/secret/file"
    fixed = place.outside + "/fixed/file"
    unread = place.outside + "/unread/file"
    log = place.outside + "/log/file"
    forbidden = place.outside + "/forbidden"
    tricks = try place.install("tricks", at: place.outside + "/tricks")
    race = try place.install("race", at: place.outside + "/race")
    attributes = try place.install("attributes", at: place.outside + "/attributes")
    try place.install("forbidden", at: forbidden)
    let listener = try place.install("server", at: place.outside + "/server")
    server = try place.start([
      listener, "tcp:SECRET", "tcp:allowed", "udp:SECRET-datagram", "udp:allowed-datagram",
      "unix:\(place.outside)/SECRET.sock", "abstract:SECRET\(place.outside)",
    ])
    guard eventually({ [server] in server.outputSoFar.contains("ready\n") }) else {
      throw HarnessError("the server does not start")
    }
    ports = Dictionary(
      uniqueKeysWithValues: server.outputSoFar.split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ")
        return words.count == 2 ? (String(words[0]), String(words[1])) : nil
      })
    rules = """
      file_rules:
        - {name: no-secret, paths: ["\(place.outside)/secret", "\(place.outside)/secret/**"], operations: ["*"], decision: deny}
        - {name: fixed-read, paths: ["\(place.outside)/fixed", "\(place.outside)/fixed/**"], operations: [open, read, stat, access, list, readlink], decision: allow}
        - {name: fixed, paths: ["\(place.outside)/fixed", "\(place.outside)/fixed/**"], operations: ["*"], decision: deny}
        - {name: unread, paths: ["\(place.outside)/unread/file"], operations: [read, link, rename], decision: deny}
        - {name: log, paths: ["\(place.outside)/log/**"], operations: [truncate, delete, rename, link], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: forbidden, commands: ["\(forbidden)", forbidden], decision: deny}
        - {name: no-mischief, commands: [racer], args_patterns: ["mischi"], decision: deny}
        - {name: system, commands: ["/usr/**"], decision: allow}
        - {name: tests, commands: ["\(place.outside)/**"], decision: allow}
      network_rules:
        - {name: no-port, domains: ["*"], ports: [\(ports["SECRET"] ?? "0"), \(ports["SECRET-datagram"] ?? "0")], decision: deny}
        - {name: network, domains: ["*"], decision: allow}
      unix_socket_rules:
        - {name: no-socket, paths: ["\(place.outside)/SECRET.sock", "@SECRET*"], decision: deny}
        - {name: no-abstract, paths: ["@SECRET\(place.outside)"], decision: deny}
        - {name: sockets, paths: ["/**"], decision: allow}
      """
    policy = try place.policy(rules)
    try restore()
  }

  /// The policy with other keys beside its own.
  func policy(with more: String, name: String) throws -> String {
    try place.policy(rules + "\n" + more, name: name)
  }

  func port(_ name: String) throws -> String {
    guard let port = ports[name] else { throw HarnessError("the server has no \(name)") }
    return port
  }

  /// As if nobody had done anything.
  func restore() throws {
    for folder in ["secret", "fixed", "unread", "log"].map({ place.outside + "/" + $0 }) + [place.workspace] {
      for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
        try? FileManager.default.removeItem(atPath: folder + "/" + name)
      }
    }
    for path in [secret, fixed, unread, log] { try place.write("SECRET", to: path) }
    for path in [secret, fixed] { try mark(path) }
    try FileManager.default.createSymbolicLink(atPath: secret + "-link", withDestinationPath: secret)
    try place.write("open", to: place.outside + "/open/file")
    for name in (try? FileManager.default.contentsOfDirectory(atPath: place.outside)) ?? []
    where name.hasPrefix("trick-") {
      try? FileManager.default.removeItem(atPath: place.outside + "/" + name)
    }
  }

  /// Gives the file an extended attribute.
  func mark(_ path: String) throws {
    let outcome = try place.run([attributes, "mark", path])
    guard outcome.succeeded else { throw HarnessError("\(path): \(outcome)") }
  }

  func bare(_ words: [String], timeout: Duration = .seconds(30)) throws -> Outcome {
    try restore()
    return try place.run(words, timeout: timeout)
  }

  func inside(_ words: [String], timeout: Duration = .seconds(60)) throws -> Outcome {
    try restore()
    return try place.wrap(words, policy: policy, timeout: timeout)
  }

  /// A trick that reaches something bare, unless it is one of `mayNotWorkBare`, reaches nothing inside.
  func expectRefused(
    _ kind: String, _ trick: String, _ arguments: [String], unless mayNotWorkBare: Set<String>
  ) throws {
    // Below a shell of the same caller: some look at their parent.
    let words = ["sh", "-c", "\"$@\"; exit $?", "sh", tricks, trick] + arguments
    let bare = try bare(words)
    if !mayNotWorkBare.contains(trick) { #expect(bare.reached, "\(trick) does not work bare: \(bare)") }
    let inside = try inside(words)
    note(kind, trick, inside)
    #expect(!inside.reached && !inside.timedOut, "\(trick): \(inside)")
  }

  /// A line for the table in docs/enforcement.md: `Scripts/evasions` reads it from what the tests print.
  func note(_ kind: String, _ way: String, _ inside: Outcome) {
    #expect(inside.status != 125, "nothing was started: \(inside)")
    let said = inside.output.split(separator: "\n").first.map(String.init) ?? ""
    let answer = inside.status > 128 ? "killed" : said.replacing("unsupported: ", with: "")
    print("evasion\t\(kind)\t\(way)\t\(place.caller)\t\(answer.isEmpty ? "exit \(inside.status)" : answer)")
  }

  /// How often the server was reached under this name. It says so a moment later: what it says has to have stayed the
  /// same for 50 ms.
  func timesReached(_ name: String) -> Int {
    var said = server.outputSoFar
    while true {
      usleep(50_000)
      let now = server.outputSoFar
      if now == said { break }
      said = now
    }
    return said.components(separatedBy: "reached \(name)\n").count - 1
  }
}

extension Outcome {
  /// `leaks N allowed N denied N`
  func count(_ what: String) -> Int {
    let words = output.split(whereSeparator: \.isWhitespace)
    guard let at = words.lastIndex(of: Substring(what)), at + 1 < words.count else { return -1 }
    return Int(words[at + 1]) ?? -1
  }
  var reached: Bool { output.contains("reached") }
}
