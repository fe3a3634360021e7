import AgentshConfig
import Foundation
import Testing

@Suite final class PrivateDirectoryTests {
  private let base: String
  private let me = getuid()

  init() throws {
    base = NSTemporaryDirectory() + "agentsh-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
    chmod(base, 0o700)
  }

  deinit { try? FileManager.default.removeItem(atPath: base) }

  private func mode(_ path: String) throws -> UInt16 {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? NSNumber).uint16Value
  }

  @Test func `it is made with what is missing above it, for its owner only`() throws {
    _ = try PrivateDirectory.open(base + "/a/b/c", ownedBy: me)
    #expect(try mode(base + "/a") == 0o700)
    #expect(try mode(base + "/a/b/c") == 0o700)
  }

  @Test func `one that others may read is closed to them`() throws {
    mkdir(base + "/open", 0o755)
    _ = try PrivateDirectory.open(base + "/open", ownedBy: me)
    #expect(try mode(base + "/open") == 0o700)
  }

  @Test func `one that others may write is refused`() throws {
    mkdir(base + "/shared", 0o700)
    chmod(base + "/shared", 0o777)
    let path = base + "/shared"
    #expect(throws: PrivateDirectoryError.unsafe(path, .writable(0o777))) {
      _ = try PrivateDirectory.open(path, ownedBy: me)
    }
  }

  @Test func `a link in its place is refused, whatever it points to`() throws {
    mkdir(base + "/real", 0o700)
    symlink(base + "/real", base + "/link")
    let path = base + "/link"
    #expect(throws: PrivateDirectoryError.unsafe(path, .notADirectory)) {
      _ = try PrivateDirectory.open(path, ownedBy: me)
    }
  }

  @Test func `a file in its place is refused`() throws {
    _ = FileManager.default.createFile(atPath: base + "/file", contents: nil)
    let path = base + "/file"
    #expect(throws: PrivateDirectoryError.unsafe(path, .notADirectory)) {
      _ = try PrivateDirectory.open(path, ownedBy: me)
    }
  }

  @Test func `one of another owner is refused`() throws {
    mkdir(base + "/mine", 0o700)
    let path = base + "/mine"
    #expect(throws: PrivateDirectoryError.unsafe(path, .owner(me))) {
      _ = try PrivateDirectory.open(path, ownedBy: me + 1)
    }
  }

  @Test func `a directory above that anybody may write is refused`() throws {
    mkdir(base + "/loose", 0o700)
    mkdir(base + "/loose/mine", 0o700)
    chmod(base + "/loose", 0o777)
    let path = base + "/loose/mine"
    #expect(throws: PrivateDirectoryError.unsafe(path, .ancestor)) {
      _ = try PrivateDirectory.open(path, ownedBy: me)
    }
  }

  @Test(arguments: ["", "relative", "/a/../b", "/"])
  func `only plain absolute paths are taken`(path: String) {
    #expect(throws: PrivateDirectoryError.notAbsolute(path)) {
      _ = try PrivateDirectory.open(path, ownedBy: me)
    }
  }
}
