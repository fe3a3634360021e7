import Foundation
import Harness
import Testing

/// What a pointer points to is rewritten while the call that names it is decided. Bare, the race is won within a
/// second; inside, not once in three.
@Suite(.serialized) struct RaceTests {
  @Test(arguments: Caller.allCases, ["open", "stat"])
  func `a path rewritten by a second thread`(caller: Caller, call: String) throws {
    let box = try Sandbox(as: caller)
    // Of the same length as the secret's path.
    let allowed = box.place.outside + "/open/../open/./file"
    let denied = padded(box.secret, to: allowed.utf8.count)
    let bare = try box.bare([box.race, call, allowed, denied, "1"])
    try #require(bare.count("leaks") > 0, "\(bare)")
    let inside = try box.inside([box.race, call, allowed, denied, "3"])
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `another file behind the number of a descriptor`(caller: Caller)
    throws
  {
    let box = try Sandbox(as: caller)
    let allowed = padded(box.place.outside + "/open/file", to: box.fixed.utf8.count)
    let words = [box.race, "fchmod", allowed, box.fixed]
    let bare = try box.bare(words + ["1"])
    try #require(bare.count("leaks") > 0, "\(bare)")
    let inside = try box.inside(words + ["3"])
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `a symbolic link flipped in a loop`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let allowed = padded(box.place.outside + "/open/file", to: box.secret.utf8.count)
    let link = box.place.workspace + "/link"
    let bare = try box.bare([box.race, "link", allowed, box.secret, "1", link])
    try #require(bare.count("leaks") > 0, "\(bare)")
    let inside = try box.inside([box.race, "link", allowed, box.secret, "3", link])
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
  }

  @Test(arguments: Caller.allCases) func `a sockaddr rewritten during connect`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let ports = try [box.port("allowed"), box.port("SECRET")]
    let bare = try box.bare([box.race, "connect"] + ports + ["1"])
    try #require(bare.count("leaks") > 0, "\(bare)")
    let before = box.timesReached("SECRET")
    let inside = try box.inside([box.race, "connect"] + ports + ["3"])
    #expect(
      inside.count("leaks") == 0 && inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
    #expect(box.timesReached("SECRET") == before)
  }

  @Test(arguments: Caller.allCases) func `a sockaddr rewritten during sendto`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let ports = try [box.port("allowed-datagram"), box.port("SECRET-datagram")]
    let bare = try box.bare([box.race, "sendto"] + ports + ["1"])
    #expect(eventually { box.timesReached("SECRET-datagram") > 0 }, "\(bare)")
    usleep(200_000)  // for what is still in the server's queue
    let before = box.timesReached("SECRET-datagram")
    let inside = try box.inside([box.race, "sendto"] + ports + ["3"])
    usleep(200_000)
    #expect(box.timesReached("SECRET-datagram") == before, "\(inside)")
    #expect(inside.count("allowed") > 0 && inside.count("denied") > 0, "\(inside)")
  }

  @Test(arguments: Caller.allCases, ["exec-thread", "exec-vm", "exec-shared", "exec-argv"])
  func `what is executed, rewritten`(caller: Caller, way: String) throws {
    let box = try Sandbox(as: caller)
    let mark = box.place.outside + "/open/mark"
    let racer = try box.place.install("forbidden", at: box.place.outside + "/racer")
    let harmless = box.place.outside + "/harmless1"
    try box.place.copy("/bin/true", to: harmless)
    let words =
      way == "exec-argv" ? ["status", "mischi"] : [harmless, padded(box.forbidden, to: harmless.utf8.count)]
    box.place.environment["AGENTSH_MARK"] = mark
    box.place.environment["AGENTSH_RACER"] = racer
    let bare = try box.bare([box.race, way] + words + ["2"])
    try #require((box.place.read(mark) ?? "").count > 0, "\(bare)")
    try FileManager.default.removeItem(atPath: mark)
    // A difference that is seen at the exec stop ends the session: again, until the time is over.
    let end = ContinuousClock.now + .seconds(3)
    var outcomes: [Outcome] = []
    while ContinuousClock.now < end || outcomes.isEmpty {
      outcomes.append(try box.inside([box.race, way] + words + ["3"]))
    }
    #expect(box.place.read(mark) == nil, "\(box.place.read(mark) ?? "") \(outcomes)")
    #expect(outcomes.contains { $0.count("allowed") > 0 || $0.status != 0 }, "\(outcomes)")
  }
}

/// The same path, written longer: `/a/b` as `/./a/b` or `//a/b`.
func padded(_ path: String, to length: Int) -> String {
  var path = path
  while path.utf8.count + 2 <= length { path = "/." + path }
  return path.utf8.count < length ? "/" + path : path
}
