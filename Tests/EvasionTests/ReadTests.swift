import Foundation
import Harness
import Testing

/// Where a policy permits every read, the kernel opens what is read (ADR 51): nothing but reading comes of it, and
/// nothing that the kernel keeps from the tree.
@Suite(.serialized) struct ReadTests {
  @Test(arguments: Caller.allCases)
  func `a path rewritten to what belongs to a process outside`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let sleeper = try box.place.start(
      ["/usr/bin/env", "-i", "SECRET=told", "/usr/bin/sleep", "60"])
    let theirs = "/proc/\(sleeper.pid)/environ"
    #expect(
      eventually { (try? String(contentsOfFile: theirs, encoding: .utf8))?.hasPrefix("SECRET") ?? false })
    let allowed = box.place.outside + "/open/file"
    let denied = padded(theirs, to: allowed.utf8.count)
    let bare = try box.bare([box.race, "open", allowed, denied, "1"])
    try #require(bare.count("leaks") > 0, "\(bare)")
    let inside = try box.place.wrap(
      [box.race, "open", allowed, denied, "3"], policy: box.place.allowAll, timeout: .seconds(60))
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
  }

  @Test(arguments: Caller.allCases)
  func `a path rewritten to what is recorded apart`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    // A rule that records is not the rule that allows: which of them holds may not rest on memory.
    let policy = try box.place.policy(
      """
      file_rules:
        - {name: watched, paths: ["\(box.secret)"], operations: ["*"], decision: audit}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: all, commands: ["*"], decision: allow}
      audit: {log_allowed: false}
      """, name: "watching")
    let allowed = box.place.outside + "/open/../open/./file"
    let words = [box.race, "open", allowed, padded(box.secret, to: allowed.utf8.count), "1"]
    let bare = try box.bare(words)
    try #require(bare.count("leaks") > 0, "\(bare)")
    try box.restore()
    let inside = try box.place.wrap(words, policy: policy, timeout: .seconds(60))
    let watched = inside.count("leaks")
    try #require(watched > 0, "\(inside)")
    // The oldest 10,000 and the newest: as many as one query gives.
    var recorded: Set<Substring> = []
    for order in ["asc", "desc"] {
      let query = ["events", "query", "--json", "--limit", "10000", "--path", box.secret, "--order", order]
      recorded.formUnion(try box.place.agentsh(query).output.split(separator: "\n"))
    }
    #expect(recorded.count == min(watched, 20_000))
  }

  @Test func `what the record says of reads that the kernel carried out`() throws {
    let place = try Place(as: .user)
    try place.write("text", to: place.workspace + "/file")
    try place.write("text", to: place.workspace + "/closed")
    try #require(chmod(place.workspace + "/closed", 0) == 0)
    let script = """
      cd \(place.workspace) && ln -s file link && mkdir directory && mkfifo pipe &&
      cat file link && ls directory && { echo through > pipe & } && cat pipe
      cat missing closed file/x 2>/dev/null
      exec 3<link && readlink /proc/self/fd/3
      """
    let outcome = try place.wrap(["sh", "-c", script], policy: place.allowAll)
    #expect(outcome.output == "texttextthrough\n\(place.workspace)/file\n", "\(outcome)")
    let events = try place.events(["--type", "file_open"])
    func errors(of name: String) -> Set<Int> {
      let ours = events.filter { $0["path"] as? String == place.workspace + name }
      return Set(ours.map { ($0["fields"] as? [String: Any])?["errno"] as? Int ?? 0 })
    }
    for name in ["/file", "/directory", "/pipe"] { #expect(errors(of: name) == [0], "\(name): \(events)") }
    #expect(errors(of: "/missing") == [Int(ENOENT)] && errors(of: "/closed") == [Int(EACCES)], "\(events)")
    #expect(errors(of: "/file/x") == [Int(ENOTDIR)], "\(events)")
    // A link is recorded as what it led to.
    #expect(errors(of: "/link") == [], "\(events)")
    let links = events.filter { ($0["fields"] as? [String: Any])?["raw_path"] as? String == "link" }
    #expect(links.count == 2, "\(events)")
  }
}
