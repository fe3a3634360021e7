import Foundation
import Harness
import Testing

/// A real agent from PyPI does its work and none of its mischief: Scripts/demo, as everybody runs it.
@Suite(.serialized) struct DemoTests {
  @Test(arguments: Caller.allCases) func `a real agent mends the program and harms nothing`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    // A clone may lie where an ordinary user cannot read it, and the agent's environment is installed once.
    let clone = place.directory + "/clone"
    for folder in [clone, clone + "/Scripts", clone + "/Tests", clone + "/Tests/fixtures"] {
      try place.makeDirectory(folder)
    }
    for part in ["Scripts/demo", "Tests/fixtures/demo"] {
      try place.copy(Programs.root + "/" + part, to: clone + "/" + part)
    }
    place.environment["AGENTSH_BIN_DIR"] = try Programs.directory.get()
    place.environment["AGENTSH_DEMO_DIR"] = place.outside
    let installed = try Programs.run([
      Programs.root + "/Scripts/demo", "--only", "install", "--cache", Programs.cache,
    ])
    try #require(installed.succeeded, "\(installed)")
    let bare = try place.run(
      [clone + "/Scripts/demo", "--only", "bare", "--cache", Programs.cache], timeout: .seconds(120))
    try #require(bare.succeeded, "\(bare)")
    let inside = try place.run(
      [clone + "/Scripts/demo", "--only", "inside", "--cache", Programs.cache], timeout: .seconds(120))
    #expect(inside.succeeded, "\(inside)")
  }
}
