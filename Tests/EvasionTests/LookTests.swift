import Foundation
import Harness
import Testing

/// Ways to learn that a file is there, where a rule says that it may not be looked at. Denied looks like absent.
@Suite(.serialized) struct LookTests {
  static let ways = [
    "stat", "lstat", "newfstatat", "fstatat_below", "statx", "statx_nofollow", "chdir_stat", "proc_root",
    "proc_cwd", "dotdot", "through_link", "handle_fstat", "handle_empty", "handle_statx", "handle_proc",
    "handle_name", "access", "access_read", "faccessat", "faccessat2", "readlink", "readlinkat",
    "readlink_handle", "lstat_link", "getxattr", "lgetxattr", "listxattr", "getxattrat", "file_getattr",
    "statfs", "watch", "list", "list_above", "list_old", "list_small", "scandir", "glob", "realpath",
    "rename_onto",
  ]
  static let mayNotWorkBare: Set<String> = ["getxattrat", "file_getattr"]

  @Test(arguments: Caller.allCases) func `what is hidden is not seen`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let program = try box.place.install("looks", at: box.place.outside + "/looks")
    for way in Self.ways {
      let bare = try box.bare([program, way, box.secret])
      if !Self.mayNotWorkBare.contains(way) { #expect(bare.reached, "\(way) does not work bare: \(bare)") }
      let inside = try box.inside([program, way, box.secret])
      box.note("looking", way, inside)
      #expect(!inside.reached && !inside.timedOut && inside.status != 2, "\(way): \(inside)")
    }
    let denials = try box.place.denials()
    #expect(denials.contains { $0 == "no-secret \(box.secret)" })
    #expect(denials.contains { $0 == "no-secret \(box.secret)-link" })
  }

  @Test(arguments: Caller.allCases) func `what is not hidden is seen as it is`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let program = try box.place.install("looks", at: box.place.outside + "/looks")
    let file = box.place.outside + "/open/file"
    for way in Self.ways where !Self.mayNotWorkBare.contains(way) {
      try box.restore()
      try box.mark(file)
      try? FileManager.default.removeItem(atPath: file + "-link")
      try FileManager.default.createSymbolicLink(atPath: file + "-link", withDestinationPath: file)
      let inside = try box.place.wrap([program, way, file], policy: box.policy)
      #expect(inside.reached, "\(way): \(inside)")
    }
  }
}
