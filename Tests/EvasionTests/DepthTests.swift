import Foundation
import Harness
import Testing

/// Rules may tell how many forks below its beginning a session starts a command. Nothing that a process does to its parents
/// makes it less deep (`Tests/fixtures/depth.c`).
@Suite(.serialized) struct DepthTests {
  /// How far down each way starts the command, where it is too deep for the rule.
  static let ways = [
    "plain", "exec", "thread", "below_thread", "vfork", "group", "orphan", "adopted", "sibling",
  ]
  static let most = 2
  static let deep = 4

  private struct Cave {
    let place: Place
    let depth: String
    let tool: String
    /// `tool` is allowed where a rule says so.
    let allowing: String
    /// `tool` is allowed where no rule says otherwise.
    let denying: String

    init(as caller: Caller) throws {
      place = try Place(as: caller)
      depth = try place.install("depth", at: place.outside + "/depth")
      tool = try place.install("forbidden", at: place.outside + "/tool")
      let rest = """
        file_rules: [{name: all, paths: ["/", "/**"], operations: ["*"], decision: allow}]
        command_rules:
        """
      allowing = try place.policy(
        """
        \(rest)
          - {name: near, commands: ["\(tool)"], context: {max_depth: \(most)}, decision: allow}
          - {name: far, commands: ["\(tool)"], decision: deny}
          - {name: tests, commands: ["\(place.outside)/**"], decision: allow}
        """, name: "allowing")
      denying = try place.policy(
        """
        \(rest)
          - {name: far, commands: ["\(tool)"], context: {min_depth: \(most + 1)}, decision: deny}
          - {name: rest, commands: ["*"], decision: allow}
        """, name: "denying")
    }

    /// What it printed, once everybody has ended.
    func inside(_ way: String, _ levels: Int, _ policy: String) throws -> Outcome {
      try place.wrap([depth, way, "\(levels)", tool], policy: policy)
    }
  }

  @Test(arguments: Caller.allCases) func `each fork counts, and nothing else does`(caller: Caller) throws {
    let cave = try Cave(as: caller)
    for policy in [cave.allowing, cave.denying] {
      for way in ["plain", "exec", "thread", "below_thread", "vfork", "group"] {
        let near = try cave.inside(way, Self.most, policy)
        #expect(near.output.contains("reached"), "\(way): \(near)")
        let far = try cave.inside(way, Self.most + 1, policy)
        #expect(far.output == "EACCES\n", "\(way): \(far)")
      }
    }
    let depths = try cave.place.events(["--decision", "deny"]).compactMap { $0["depth"] as? Int }
    #expect(depths == Array(repeating: Self.most + 1, count: 12))
  }

  @Test(arguments: Caller.allCases) func `no way leads up`(caller: Caller) throws {
    let cave = try Cave(as: caller)
    for way in Self.ways {
      let bare = try cave.place.run([cave.depth, way, "\(Self.deep)", cave.tool])
      #expect(bare.output == "reached\n", "\(way): \(bare)")
      for policy in [cave.allowing, cave.denying] {
        let outcome = try cave.inside(way, Self.deep, policy)
        #expect(outcome.output == "EACCES\n", "\(way): \(outcome)")
      }
    }
  }
}
