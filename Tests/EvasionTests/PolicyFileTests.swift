import Foundation
import Harness
import Testing

/// A policy that the person named by a file: who changes it from inside has another one at the next start.
@Suite struct PolicyFileTests {
  @Test(arguments: ["link.yaml", "cafe\u{301}.yaml"], Caller.allCases)
  func `neither the file nor the link that names it is replaced from inside`(link: String, caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let folder = place.home + "/policies"
    // Composed: the second link's name is the same to whoever compares characters instead of bytes.
    let file = try place.write(
      try String(contentsOfFile: place.allowAll, encoding: .utf8), to: folder + "/caf\u{e9}.yaml")
    let path = folder + "/" + link
    try #require(symlink(file, path) == 0)
    for name in [path, file] {
      try #require(try place.run(["/bin/mv", name, name + ".moved"]).succeeded)
      try #require(try place.run(["/bin/mv", name + ".moved", name]).succeeded)
    }
    for name in [path, file] {
      let inside = try place.run(place.wrapping(["mv", name, name + ".moved"], policy: path))
      #expect(inside.status == 1 && inside.errors.contains("Permission denied"), "\(name): \(inside)")
      #expect(!place.exists(name + ".moved"))
    }
  }
}
