import Foundation
import Harness
import Testing

/// System V's shared memory, semaphores and queues belong to a user, not to a session: what the same user made outside is out of
/// reach, by number and by key, under a policy that allows everything too.
@Suite(.serialized) struct ObjectTests {
  static let ways = [
    "attach", "attach_by_key", "attach_by_key_made", "write", "shm_remove", "shm_stat", "shm_mode",
    "shm_lock",
    "semop", "semtimedop", "semop_by_key", "sem_set", "sem_get", "sem_remove", "receive", "receive_by_key",
    "send", "msg_remove", "msg_stat",
  ]

  @Test(arguments: Caller.allCases) func `another's memory, semaphores and queues are out of reach`(
    caller: Caller
  )
    throws
  {
    let box = try Sandbox(as: caller)
    let objects = try box.place.install("objects", at: box.place.outside + "/objects")
    for way in Self.ways {
      func attempt(_ run: ([String]) throws -> Outcome) throws -> (
        said: Outcome, before: String, after: String
      ) {
        let made = try box.place.run([objects, "make"])
        let numbers = made.trimmed.split(separator: " ").map(String.init)
        try #require(numbers.count == 4, "\(made)")
        defer { _ = try? box.place.run([objects, "clear"] + numbers) }
        let before = try box.place.run([objects, "state"] + numbers).output
        let said = try run([objects, way] + numbers)
        return (said, before, try box.place.run([objects, "state"] + numbers).output)
      }
      let bare = try attempt { try box.place.run($0) }
      #expect(bare.said.reached, "\(way) does not work bare: \(bare.said)")
      let inside = try attempt { try box.place.wrap($0, policy: box.place.allowAll) }
      box.note("objects of System V", way, inside.said)
      #expect(inside.said.output == "EACCES\n", "\(way): \(inside.said)")
      #expect(inside.before.hasPrefix("SECRET 600 5 1") && inside.after == inside.before, "\(way)")
    }
    let denials = try box.place.denials()
    #expect(
      denials.contains { $0.contains("shm ") } && denials.contains { $0.contains("msg key 0x") }, "\(denials)"
    )
  }

  @Test(arguments: Caller.allCases) func `one's own work as without us`(caller: Caller) throws {
    let place = try Place(as: caller)
    let objects = try place.install("objects", at: place.outside + "/objects")
    let bare = try place.run([objects, "own"])
    try #require(bare.succeeded && bare.output.contains("done"), "\(bare)")
    let inside = try place.wrap([objects, "own"], policy: place.allowAll)
    #expect(inside.output == bare.output && inside.errors == bare.errors, "\(inside)")
    // Also those that another process of the tree made, and that are there no more but for their number.
    let script =
      "n=$('\(objects)' make); '\(objects)' attach $n && '\(objects)' receive_by_key $n; '\(objects)' clear $n"
    let together = try place.wrap(["sh", "-c", script], policy: place.allowAll)
    #expect(together.output == "reached\nreached\n", "\(together)")
  }

  /// Made by root's supervisor for somebody else, and theirs.
  @Test func `in a session of root's they belong to who asked for them`() throws {
    let place = try Place(as: .root)
    let objects = try place.install("objects", at: place.outside + "/objects")
    let words = ["setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups", objects, "own"]
    let bare = try place.run(words)
    let inside = try place.wrap(words, policy: place.allowAll)
    #expect(bare.succeeded && inside.output == bare.output, "\(inside)")
  }
}
