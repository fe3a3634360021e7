import Foundation
import Harness
import Testing

/// A file deeper than a path can say: its directories are entered one by one, or two links lead there. The kernel has no name
/// for it that a rule could be asked about, so nothing is done there; a name that was cut off would be another's.
@Suite(.serialized) struct DeepTests {
  static let ways = [
    "open", "openat", "openat2", "handle", "link_follow", "dot", "child", "write", "cut", "truncate",
    "create",
    "tmpfile", "unlink", "unlinkat", "rename", "rename_out", "link", "link_out", "symlink", "mkdir", "mkfifo",
    "chmod", "utimes", "setxattr", "bind", "connect", "exec", "stat", "access", "readlink", "statfs", "watch",
    "list",
  ]
  /// openat and unlinkat by a handle on the directory, which was not given out: they have none to name.
  static let errnos: Set<String> = ["ENAMETOOLONG", "EBADF"]

  private struct Bottom {
    let box: Sandbox
    let program: String
    let top: String

    init(_ caller: Caller) throws {
      box = try Sandbox(as: caller)
      program = try box.place.install("deep", at: box.place.outside + "/deep")
      top = box.place.outside + "/open/top"
    }

    /// As if nobody had done anything.
    func restore(_ way: String) throws {
      try box.place.run([program, "remove", top])
      unlink(top + "-out")
      let words = [program, "make", top]
      guard try box.place.run(words).reached else { throw HarnessError("\(top) cannot be made") }
      if way == "connect" { try box.place.run([program, "bind", top]) }
    }

    func state() throws -> String { try box.place.run([program, "state", top]).output }
  }

  /// Rules about a name's end, which is what is cut off.
  private func policy(_ bottom: Bottom) throws -> String {
    try bottom.box.place.policy(
      """
      file_rules:
        - {name: ends, paths: ["/**/file", "/**/link", "/**/program", "/**/new", "/**/made", "/**/socket"], operations: ["*"], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules:
        - {name: program, commands: [program], decision: deny}
        - {name: all, commands: ["*"], decision: allow}
      unix_socket_rules:
        - {name: socket, paths: ["/**/socket"], decision: deny}
        - {name: all, paths: ["/**"], decision: allow}
      """, name: "ends")
  }

  @Test(arguments: Caller.allCases, ["steps", "links"])
  func `what lies deeper than a path can say is out of reach`(caller: Caller, by: String) throws {
    let bottom = try Bottom(caller)
    let policy = try policy(bottom)
    for way in Self.ways {
      let words = [bottom.program, way, bottom.top, by]
      try bottom.restore(way)
      let before = try bottom.state()
      #expect(before.contains("reached"), "\(before)")
      let bare = try bottom.box.place.run(words)
      #expect(bare.reached, "\(way) by \(by) does not work bare: \(bare)")
      try bottom.restore(way)
      let inside = try bottom.box.place.wrap(words, policy: policy)
      bottom.box.note("deep, by \(by)", way, inside)
      #expect(Self.errnos.contains(inside.trimmed), "\(way) by \(by): \(inside)")
      #expect(try bottom.state() == before, "\(way) by \(by)")
      #expect(access(bottom.top + "-out", F_OK) != 0, "\(way) by \(by)")
    }
    try bottom.box.place.run([bottom.program, "remove", bottom.top])
  }

  /// Not half either, where everything is allowed.
  @Test(arguments: Caller.allCases, ["steps", "links"])
  func `down there a call is done or ENAMETOOLONG`(caller: Caller, by: String) throws {
    let bottom = try Bottom(caller)
    for way in Self.ways {
      try bottom.restore(way)
      let before = try bottom.state()
      let inside = try bottom.box.place.wrap(
        [bottom.program, way, bottom.top, by], policy: bottom.box.place.allowAll)
      if inside.reached { continue }
      #expect(Self.errnos.contains(inside.trimmed), "\(way) by \(by): \(inside)")
      #expect(try bottom.state() == before, "\(way) by \(by)")
      #expect(access(bottom.top + "-out", F_OK) != 0, "\(way) by \(by)")
    }
    try bottom.box.place.run([bottom.program, "remove", bottom.top])
  }
}
