import Foundation
import Harness
import Testing

/// Ways to change what is known about a file, and to cut it, by path and by descriptor. Each works bare, where the machine
/// has it at all; inside not even the time of the last change moves.
@Suite(.serialized) struct AttributeTests {
  static let changing = [
    "chmod", "fchmod", "fchmod_dup", "fchmodat", "fchmodat2", "fchmodat2_empty", "chmod_proc", "chmod_handle",
    "chmod_dev_fd", "chown", "lchown", "fchown", "fchownat", "fchownat_empty", "chown_proc", "utime",
    "utimes",
    "futimesat", "futimesat_null", "utimensat", "utimensat_empty", "futimens", "futimens_now", "setxattr",
    "lsetxattr", "fsetxattr", "setxattr_proc", "setxattrat", "setxattrat_empty", "removexattr",
    "lremovexattr",
    "fremovexattr", "removexattrat", "setflags", "setversion", "fssetxattr", "file_setattr",
    "directory_fchmod",
    "directory_futimens",
  ]
  static let cutting = [
    "cut_truncate", "cut_ftruncate", "cut_ftruncate_dup", "cut_open", "cut_open_create", "cut_creat",
    "cut_proc",
  ]
  /// What a file system or a kernel may lack.
  static let mayNotWorkBare: Set<String> = [
    "setflags", "setversion", "fssetxattr", "file_setattr", "setxattrat", "setxattrat_empty", "removexattrat",
  ]

  @Test(arguments: Caller.allCases) func `attributes of what may only be read stay`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for way in Self.changing {
      let bare = try box.bare([box.attributes, way, box.fixed])
      if !Self.mayNotWorkBare.contains(way) { #expect(bare.reached, "\(way) does not work bare: \(bare)") }
      try box.restore()
      let before = try state(box.fixed)
      let inside = try box.place.wrap([box.attributes, way, box.fixed], policy: box.policy)
      box.note("attributes", way, inside)
      #expect(!inside.reached && !inside.timedOut && inside.status != 2, "\(way): \(inside)")
      #expect(try state(box.fixed) == before, "\(way)")
    }
    #expect(try box.place.denials().contains { $0 == "fixed \(box.fixed)" })
  }

  @Test(arguments: Caller.allCases) func `what may be written and not cut is not cut`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    for way in Self.cutting {
      #expect(try box.bare([box.attributes, way, box.log]).reached, "\(way) does not work bare")
      let inside = try box.inside([box.attributes, way, box.log])
      box.note("cutting", way, inside)
      #expect(!inside.reached && !inside.timedOut && inside.status == 1, "\(way): \(inside)")
      #expect(try String(contentsOfFile: box.log, encoding: .utf8) == "SECRET", "\(way)")
    }
    let appended = try box.inside(["sh", "-c", "echo more >>\(box.log); cat \(box.log)"])
    #expect(appended.output == "SECRETmore\n", "\(appended)")
  }

  @Test(arguments: Caller.allCases) func `attributes of what may be changed change`(caller: Caller) throws {
    let box = try Sandbox(as: caller)
    let file = box.place.outside + "/open/file"
    for way in Self.changing where !way.hasPrefix("cut") && !Self.mayNotWorkBare.contains(way) {
      try box.restore()
      try box.mark(file)
      let inside = try box.place.wrap([box.attributes, way, file], policy: box.policy)
      #expect(inside.reached, "\(way): \(inside)")
    }
  }

  /// Of the file and its directory: the time of the last change, which every change of an attribute moves, and more.
  private func state(_ path: String) throws -> [String] {
    try [path, (path as NSString).deletingLastPathComponent].map { path in
      var status = stat()
      guard lstat(path, &status) == 0 else { throw HarnessError("\(path): \(errno)") }
      return
        "\(status.st_mode) \(status.st_uid) \(status.st_size) \(status.st_mtim.tv_sec) \(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
    }
  }
}
