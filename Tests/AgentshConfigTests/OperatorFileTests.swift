import AgentshConfig
import Foundation
import Testing

@Suite struct OperatorFileTests {
  /// Directories and files below a directory of root's; the tests run as root.
  private func place() throws -> String {
    let path = "/srv/agentsh-operator-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(
      atPath: path + "/policies", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    try Data("x".utf8).write(to: URL(filePath: path + "/policies/a.yaml"))
    chmod(path + "/policies/a.yaml", 0o644)
    return path
  }

  @Test func `what is root's alone has no objection, and neither has what is not there`() throws {
    let path = try place()
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(OperatorFile.objection(to: path + "/policies/a.yaml") == nil)
    #expect(OperatorFile.objection(to: path + "/policies/missing.yaml") == nil)
    // Root's group may write.
    chmod(path + "/policies/a.yaml", 0o664)
    #expect(OperatorFile.objection(to: path + "/policies/a.yaml") == nil)
  }

  @Test func `an owner, a mode, a directory above, and where a link leads each count`() throws {
    let path = try place()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let file = path + "/policies/a.yaml"
    let link = path + "/link.yaml"
    symlink(file, link)
    let meddling: [(String, () -> Void, () -> Void)] = [
      ("owner", { chown(file, 5001, 0) }, { chown(file, 0, 0) }),
      ("mode", { chmod(file, 0o646) }, { chmod(file, 0o644) }),
      (
        "group",
        {
          chown(file, 0, 5001); chmod(file, 0o664)
        },
        {
          chown(file, 0, 0); chmod(file, 0o644)
        }
      ),
      ("directory", { chmod(path + "/policies", 0o777) }, { chmod(path + "/policies", 0o755) }),
      ("directory's owner", { chown(path + "/policies", 5001, 0) }, { chown(path + "/policies", 0, 0) }),
    ]
    for (what, meddle, undo) in meddling {
      meddle()
      #expect(OperatorFile.objection(to: file) != nil, "\(what)")
      #expect(OperatorFile.objection(to: link) != nil, "\(what), by a link")
      undo()
      #expect(OperatorFile.objection(to: file) == nil && OperatorFile.objection(to: link) == nil, "\(what)")
    }
  }
}
