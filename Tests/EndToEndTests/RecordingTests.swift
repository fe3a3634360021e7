import Foundation
import Harness
import Testing

/// Nothing happens inside that is not recorded: where there is no room, calls wait, or the session ends, and nothing
/// starts that could not be recorded.
@Suite(.serialized) struct RecordingTests {
  /// An event of some 1.4 kB each, so that a few thousand fill buffers and spool.
  private static let opens = 16_000

  private func deepFile(_ place: Place) throws -> String {
    var path = place.workspace
    for _ in 0..<5 {
      path += "/" + String(repeating: "d", count: 240)
      try place.makeDirectory(path)
    }
    return try place.write("x", to: path + "/file")
  }

  /// Waits for a file of the script's, kills the daemon, and lets the script go on.
  private func withoutDaemon(_ place: Place, _ script: String) throws -> Running {
    let words = ["sh", "-c", "touch began; while [ ! -e go ]; do sleep 0.05; done; " + script]
    let running = try place.start(place.wrapping(words, policy: place.allowAll, options: ["--quiet"]))
    #expect(eventually { place.exists(place.workspace + "/began") })
    for pid in place.daemons { kill(pid, SIGKILL) }
    #expect(eventually { place.daemons.isEmpty })
    try place.write("", to: place.workspace + "/go")
    return running
  }

  private func configure(_ place: Place, _ overflow: String) throws {
    try place.configure("spool: {limit_mb: 1, on_overflow: \(overflow)}\n")
  }

  /// How many events name the path, in the journal; each once.
  private func recorded(_ path: String, in place: Place) -> Int {
    let journal = place.read(place.home + "/.local/state/agentsh/events.jsonl") ?? ""
    let lines = journal.split(separator: "\n").filter { $0.contains(path) && $0.contains("\"file_open\"") }
    #expect(Set(lines).count == lines.count, "an event is stored twice")
    return lines.count
  }

  /// Calls are answered before they are recorded, and this one's answer ends the session. On a busy machine the thread that
  /// answered is late: one in five was lost.
  @Test(arguments: Caller.allCases) func `the last call of a session is recorded`(caller: Caller) throws {
    let place = try Place(as: caller)
    let policy = try place.policy(
      """
      file_rules: [{name: files, paths: ["/", "/**"], operations: ["*"], decision: allow}]
      command_rules:
        - {name: no-true, commands: ["/usr/bin/true"], decision: deny}
        - {name: rest, commands: ["*"], decision: allow}
      """)
    // Its interpreter is what is denied: of the command itself the daemon would say so before anything starts.
    let script = try place.write("#!/usr/bin/true\n", to: place.workspace + "/script", mode: 0o755)
    let hogs = try (0..<3).map { _ in
      try place.start(["/usr/bin/timeout", "60", "sh", "-c", "while :; do :; done"])
    }
    let count = 60
    for _ in 0..<count {
      let refused = try place.wrap([script], policy: policy)
      try #require(refused.status == 126, "\(refused)")
    }
    for hog in hogs { kill(hog.pid, SIGTERM) }
    let events = try place.events(["--decision", "deny", "--limit", "1000"])
    #expect(events.count == count, "\(events.first as Any)")
  }

  @Test(arguments: Caller.allCases)
  func `a full spool holds calls up until a daemon is there, and loses none`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    try configure(place, "block")
    let file = try deepFile(place)
    let program = try place.install("memory")
    let running = try withoutDaemon(place, "\(program) open \(file) \(Self.opens); touch counted")
    let spool = place.home + "/.local/state/agentsh/spool"
    #expect(eventually { Self.bytes(below: spool) > 0 })
    // The buffers fill within a second or so; from then on nothing moves.
    usleep(2_000_000)
    #expect(!place.exists(place.workspace + "/counted"), "the calls did not wait")
    #expect(Self.bytes(below: spool) <= 1 << 20)
    try #require(place.wrap(["true"]).succeeded)
    let outcome = running.finish(timeout: .seconds(60))
    #expect(outcome.output == "opened \(Self.opens)\n", "\(outcome)")
    let journal = place.home + "/.local/state/agentsh/events.jsonl"
    // The program itself is an event that has the path in it, too.
    let count = "grep -F file_open \(journal) | grep -cF \(file)"
    _ = try eventually(within: .seconds(20)) {
      (Int(try place.run(["/bin/sh", "-c", count]).trimmed) ?? 0) >= Self.opens
    }
    #expect(recorded(file, in: place) == Self.opens)
  }

  @Test(arguments: Caller.allCases) func `where the configuration says so, a full spool ends the session`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    try configure(place, "kill")
    let file = try deepFile(place)
    let program = try place.install("memory")
    let running = try withoutDaemon(
      place, "(sleep 60; true) & \(program) open \(file) 10000000; touch counted")
    let outcome = running.finish(timeout: .seconds(30))
    #expect(outcome.status == 137, "\(outcome)")
    #expect(
      outcome.errors.contains("spool is full") && outcome.errors.contains("on_overflow: kill"), "\(outcome)")
    #expect(!place.exists(place.workspace + "/counted"))
    #expect(eventually { place.processes(named: "sleep").isEmpty && place.supervisors.isEmpty })
    // What had been done until then is recorded, and why the session ended.
    try #require(place.wrap(["true"]).succeeded)
    var notes: [String] = []
    _ = try eventually {
      notes = try place.events(["--type", "supervisor_note"]).compactMap {
        ($0["fields"] as? [String: Any])?["message"] as? String
      }
      return notes.contains { $0.contains("spool is full") }
    }
    #expect(notes.contains { $0.contains("spool is full") }, "\(notes)")
    // The spool of 1 MiB was full of them; the session ended at the first batch that did not fit.
    #expect(recorded(file, in: place) > 500)
    #expect(eventually { Self.bytes(below: place.home + "/.local/state/agentsh/spool") == 0 })
  }

  // MARK: - A full disk

  private func smallState(_ place: Place, _ size: String) throws -> String {
    let state = place.home + "/.local/state"
    for path in ["/.local", "/.local/state"] { try place.makeDirectory(place.home + path) }
    try place.mountPrivately(
      "u=$(stat -c %u \(state)); mount -t tmpfs -o size=\(size),mode=0755,uid=$u,gid=$u none \(state)")
    return state
  }

  private func fill(_ state: String, in place: Place) throws {
    _ = try place.sh("cat /dev/zero >\(state)/ballast")
  }

  @Test(arguments: Caller.allCases) func `on a full disk nothing starts, and place and cause are named`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let state = try smallState(place, "1m")
    try fill(state, in: place)
    let first = try place.wrap(["touch", "ran"], timeout: .seconds(20))
    #expect(first.status == 125, "\(first)")
    #expect(first.errors.contains(state + "/agentsh") && first.errors.contains("ENOSPC"), "\(first)")
    #expect(place.processes().isEmpty, "\(place.processes())")
    // With room it works, on what the first try left.
    try #require(place.sh("rm \(state)/ballast").succeeded)
    #expect(try place.wrap(["true"]).succeeded)
    // Full again, with a daemon that runs.
    try fill(state, in: place)
    let second = try place.wrap(["touch", "ran"], timeout: .seconds(20))
    #expect(second.status == 125, "\(second)")
    #expect(second.errors.contains(state + "/agentsh"), "\(second)")
    #expect(second.errors.contains("ENOSPC") || second.errors.contains("disk is full"), "\(second)")
    #expect(!place.exists(place.workspace + "/ran"))
    let halves = try place.sh("find \(state) -name '*.new' -o -name '*.room' -o -name '*.launch'").output
    #expect(halves == "", "left half-made: \(halves)")
    try #require(place.sh("rm \(state)/ballast").succeeded)
    #expect(try eventually { try place.wrap(["true"]).succeeded })
  }

  @Test(arguments: Caller.allCases) func `a disk that fills holds events back and loses none`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let state = try smallState(place, "4m")
    let program = try place.install("memory")
    let file = try place.write("x", to: place.workspace + "/file")
    try #require(place.wrap(["true"]).succeeded)
    let count = 20_000
    let running = try place.start(
      place.wrapping(
        ["sh", "-c", "\(program) open \(file) \(count); touch counted"], policy: place.allowAll,
        options: ["--quiet"]))
    // 20 000 events are some 8 MB in the database and as many in the journal.
    #expect(eventually { place.exists(place.workspace + "/counted") })
    usleep(500_000)
    let journal = state + "/agentsh/events.jsonl"
    let before = try place.sh("cat \(journal); grep -c file_open \(journal) >&2")
    #expect(before.output.split(separator: "\n").allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })
    #expect(Int(before.errors.trimmingCharacters(in: .whitespacesAndNewlines)) ?? count < count)
    try place.mountPrivately("mount -o remount,size=200m \(state)")
    let outcome = running.finish(timeout: .seconds(40))
    #expect(outcome.output == "opened \(count)\n", "\(outcome)")
    var lines: [Substring] = []
    _ = try eventually {
      lines = try place.sh("grep file_open \(journal) | grep \(file)").output.split(separator: "\n")
      return lines.count >= count
    }
    #expect(lines.count == count)
    #expect(Set(lines).count == count)
    #expect(lines.allSatisfy { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) != nil })
  }

  private static func bytes(below directory: String) -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.reduce(0) { sum, name in
      let found = try? FileManager.default.attributesOfItem(atPath: directory + "/" + name)
      return sum + ((found?[.size] as? Int) ?? 0)
    }
  }
}
