import Foundation
import Harness
import Testing

/// A command rule that names a link permits what the link leads to, while nobody inside can have it lead elsewhere.
@Suite struct CalledNameTests {
  private static let changes = "create, mkdir, rename, link, symlink, mknod"

  @Test(
    arguments: [
      ("deny", "\(changes), delete, rmdir", true), ("allow", changes, false), ("approve", changes, false),
      ("soft_delete", "delete, rmdir", false),
    ], Caller.allCases)
  func `a link that can be replaced counts for nothing`(
    rule: (decision: String, operations: String, isFixed: Bool), caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let (link, program) = (place.outside + "/bin/tool", place.outside + "/real/program")
    for folder in ["/bin", "/real"] { try place.makeDirectory(place.outside + folder) }
    try place.copy("/usr/bin/echo", to: program)
    try #require(try place.sh("ln -s \(program) \(link)").succeeded)
    // What no rule names is not changed.
    let policy = try place.policy(
      """
      file_rules:
        - {name: links, paths: ["\(place.outside)/bin{,/**}"], operations: [\(rule.operations)], decision: \(rule.decision)}
      command_rules:
        - {name: tool, commands: [sh, dash, "\(link)"], decision: allow}
      """, name: rule.decision)
    let inside = try place.wrap(["/bin/sh", "-c", link + " ran"], policy: policy)
    #expect(inside.output == (rule.isFixed ? "ran\n" : ""), "\(inside)")
    // The name that it has really is not permitted.
    let direct = try place.wrap(["/bin/sh", "-c", program + " ran"], policy: policy)
    #expect(direct.output == "" && direct.status != 0, "\(direct)")
  }
}
