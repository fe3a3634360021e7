import AgentshServer
import AgentshSession
import AgentshWire
import CLinux
import Foundation
import LinuxSystem
import Synchronization
import Testing

/// Places and loops of the three kinds, with processes under other uids. The uids need no accounts.
@Suite struct HandoffTests {
  private static let owner: UInt32 = 5001
  private static let stranger: UInt32 = 5002

  /// A parent as the daemon has it, where others pass through, and the client that others run.
  private final class Parent: Sendable {
    let path = "/tmp/agentsh-handoff-\(UInt32.random(in: 0 ... .max))"
    let client: String
    init() throws {
      client = path + "/wrap_client.py"
      mkdir(path, 0o711)
      chmod(path, 0o711)
      let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      try FileManager.default.copyItem(
        at: fixtures.appending(path: "fixtures/wrap_client.py"), to: URL(filePath: client))
      chmod(client, 0o755)
    }
    var names: [String] { directoryNames(path).filter { $0 != "wrap_client.py" } }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// What `wrap_client.py offer` got: the byte, nil for none, or an error's name.
    func offer(_ socket: String, _ kind: HandoffKind, as uid: UInt32) async throws -> String {
      let client = client
      return try await blocking {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/setpriv")
        process.arguments = [
          "--reuid", "\(uid)", "--regid", "\(uid)", "--clear-groups", "/usr/bin/python3", "-B", client,
          "offer",
          socket, kind.rawValue,
        ]
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let answer = (try? JSONSerialization.jsonObject(with: data) as? [String: Any])?["answer"]
        return if let answer = answer as? Int { "\(answer)" } else { answer as? String ?? "none" }
      }
    }
  }

  private struct Looks: Equatable {
    let mode: UInt32
    let uid: UInt32
    let type: FileType
    init(_ mode: UInt32, _ uid: UInt32, _ type: FileType) {
      self.mode = mode
      self.uid = uid
      self.type = type
    }
  }

  private func looks(_ path: String) -> Looks? {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    return Looks(status.st_mode & 0o7777, status.st_uid, FileType(mode: status.st_mode))
  }

  // MARK: places

  @Test(arguments: HandoffKind.allCases)
  func `with a uid, directory and socket are the caller's alone`(kind: HandoffKind) throws {
    let parent = try Parent()
    let place = try HandoffPlace(below: parent.path, owner: (Self.owner, Self.owner), kinds: [kind])
    let (isShared, path, socket) = (place.isShared, place.path, place.socketPath(kind))
    #expect(!isShared)
    #expect(looks(path) == Looks(0o700, Self.owner, .directory))
    #expect(looks(socket) == Looks(0o600, Self.owner, .socket))
    place.remove()
    #expect(parent.names.isEmpty)
  }

  @Test(arguments: HandoffKind.allCases)
  func `without a uid, or without CAP_CHOWN, the compatibility modes hold`(kind: HandoffKind) throws {
    let parent = try Parent()
    for owner in [nil, (uid: Self.owner, gid: Self.owner)] as [(uid: UInt32, gid: UInt32)?] {
      let place = try HandoffPlace(below: parent.path, owner: owner, kinds: [kind], mayGive: owner == nil)
      let (isShared, path, socket) = (place.isShared, place.path, place.socketPath(kind))
      #expect(isShared)
      #expect(looks(path) == Looks(0o711, getuid(), .directory))
      #expect(looks(socket) == Looks(0o666, getuid(), .socket))
      place.remove()
      #expect(parent.names.isEmpty)
    }
  }

  @Test func `a uid that is ours is matched without giving anything away`() throws {
    let parent = try Parent()
    let place = try HandoffPlace(below: parent.path, owner: (getuid(), getgid()), kinds: [.notify])
    let (isShared, path) = (place.isShared, place.path)
    #expect(!isShared)
    #expect(looks(path) == Looks(0o700, getuid(), .directory))
    place.remove()
  }

  @Test func `what does not hold when it is checked leaves nothing behind`() throws {
    let parent = try Parent()
    let outside = parent.path + "-outside"
    mkdir(outside, 0o700)
    defer { try? FileManager.default.removeItem(atPath: outside) }
    let meddling: [(String, (String) -> Void)] = [
      ("mode of the directory", { chmod($0, 0o755) }),
      ("mode of the socket", { chmod($0 + "/notify.sock", 0o660) }),
      ("owner of the directory", { chown($0, Self.stranger, 0) }),
      ("owner of the socket", { chown($0 + "/notify.sock", Self.stranger, 0) }),
      (
        "a file in the socket's place",
        { path in
          unlink(path + "/notify.sock")
          close(open(path + "/notify.sock", O_CREAT | O_WRONLY, 0o600))
        }
      ),
      (
        "a link in the socket's place",
        { path in
          rename(path + "/notify.sock", path + "/other")
          symlink("other", path + "/notify.sock")
        }
      ),
      (
        "a link in the directory's place",
        { path in
          rename(path, path + ".moved")
          symlink(outside, path)
        }
      ),
    ]
    for (what, meddle) in meddling {
      #expect(throws: SystemCallError.self, "\(what)") {
        _ = try HandoffPlace(
          below: parent.path, owner: (Self.owner, Self.owner), kinds: [.notify], meanwhile: meddle
        ).isShared
      }
      #expect(parent.names.filter { !$0.hasSuffix(".moved") }.isEmpty, "\(what): \(parent.names)")
    }
    #expect(directoryNames(outside).isEmpty)
  }

  @Test func `a name that is taken, a long one, and a parent that others write to are refused`() throws {
    let parent = try Parent()
    symlink("/etc", parent.path + "/taken")
    #expect(throws: SystemCallError.self) {
      _ = try HandoffPlace(below: parent.path, owner: nil, kinds: [.notify], name: "taken").isShared
    }
    #expect(isThere(parent.path + "/taken"))
    #expect(throws: SystemCallError("bind", ENAMETOOLONG)) {
      let name = String(repeating: "x", count: 90)
      _ = try HandoffPlace(below: parent.path, owner: nil, kinds: [.notify], name: name).isShared
    }
    chmod(parent.path, 0o777)
    #expect(throws: SystemCallError("fstat", EPERM)) {
      _ = try HandoffPlace(below: parent.path, owner: nil, kinds: [.notify]).isShared
    }
    #expect(parent.names == ["taken"])
  }

  @Test func `what the caller put there goes too, and links are not followed`() throws {
    let parent = try Parent()
    let kept = parent.path + "-kept"
    mkdir(kept, 0o700)
    close(open(kept + "/file", O_CREAT | O_WRONLY, 0o600))
    defer { try? FileManager.default.removeItem(atPath: kept) }
    let place = try HandoffPlace(below: parent.path, owner: (Self.owner, Self.owner), kinds: [.notify])
    mkdir(place.path + "/deep", 0o700)
    mkdir(place.path + "/deep/er", 0o700)
    symlink(kept, place.path + "/deep/er/link")
    place.remove()
    #expect(parent.names.isEmpty)
    #expect(isThere(kept + "/file"))
  }

  // MARK: loops

  private struct Served: Sendable {
    let uid: UInt32?
    let frame: HandoffFrame?
  }

  /// Runs the kind's loop on a thread until it has served somebody; `clients` come meanwhile.
  private func serve(
    _ kind: HandoffKind, shared: Bool, _ clients: (Parent, String) async throws -> Void
  ) async throws -> (served: Served, refused: [TurnedAway]) {
    let parent = try Parent()
    let place = try HandoffPlace(
      below: parent.path, owner: (Self.owner, Self.owner), kinds: [kind], mayGive: !shared)
    let path = place.socketPath(kind)
    let found = place.listener(kind)
    let listener = try #require(found)
    let refused = Recorded()
    let own = SharedDescriptor(FileDescriptor(owning: Int32(openPidfd(getpid()))))
    async let served: Served = blocking {
      var loop = HandoffLoop(
        kind, listener: listener, callerUID: Self.owner, caller: own, isOver: { refused.isOver },
        onRefusal: { refused.add($0) })
      let handed = loop.next()
      if kind != .signal, let handed { _ = send(handed.socket.number, [1], 1, 0) }
      handed?.listener?.close()
      for again in loop.repeated { refused.add(again) }
      return Served(uid: handed?.peer.uid, frame: handed?.frame)
    }
    try await clients(parent, path)
    refused.end()
    let result = try await served
    place.remove()
    return (result, refused.all)
  }

  @Test(arguments: HandoffKind.allCases)
  func `the right uid is served`(kind: HandoffKind) async throws {
    for shared in [false, true] {
      let (served, refused) = try await serve(kind, shared: shared) { parent, path in
        let answer = try await parent.offer(path, kind, as: Self.owner)
        #expect(answer == (kind == .signal ? "none" : "1"))
      }
      #expect(served.uid == Self.owner)
      switch (kind, served.frame) {
      case (.notify, .notify(.current)), (.signal, .signal), (.ptrace, .ptrace): break
      default: Issue.record("\(kind): \(String(describing: served.frame))")
      }
      #expect(refused.isEmpty, "\(refused)")
    }
  }

  @Test(arguments: HandoffKind.allCases)
  func `wrong uids are refused and counted, and the right one is served next`(kind: HandoffKind) async throws
  {
    let (served, refused) = try await serve(kind, shared: true) { parent, path in
      for uid in [Self.stranger, Self.stranger, 5003, Self.stranger, 0] {
        let answer = try await parent.offer(path, kind, as: uid)
        #expect(answer == "none" || answer == "EPIPE" || answer == "ECONNRESET", "\(uid): \(answer)")
      }
      _ = try await parent.offer(path, kind, as: Self.owner)
    }
    #expect(served.uid == Self.owner)
    // Each uid once when it first came, and at the end how often it came in all.
    #expect(refused.map(\.peer.uid).sorted() == [0, Self.stranger, Self.stranger, 5003])
    #expect(refused.map(\.count).max() == 3)
  }

  @Test(arguments: HandoffKind.allCases)
  func `the modes keep a stranger from connecting at all`(kind: HandoffKind) async throws {
    let (served, refused) = try await serve(kind, shared: false) { parent, path in
      #expect(try await parent.offer(path, kind, as: Self.stranger) == "EACCES")
      // Root passes by every mode, and is a wrong uid like another.
      #expect(try await parent.offer(path, kind, as: 0) != "1")
      _ = try await parent.offer(path, kind, as: Self.owner)
    }
    #expect(served.uid == Self.owner)
    #expect(refused.map(\.peer.uid) == [0])
  }

  @Test(arguments: HandoffKind.allCases)
  func `another kind's frame is refused`(kind: HandoffKind) async throws {
    let (served, refused) = try await serve(kind, shared: false) { (parent, path) async throws in
      for other in HandoffKind.allCases where other != kind {
        // To a notify socket one byte is the old form.
        if kind == .notify, other == .signal { continue }
        #expect(try await parent.offer(path, other, as: Self.owner) != "1")
      }
    }
    #expect(served.uid == nil)
    #expect(refused.count == (kind == .notify ? 1 : 2))
  }
}

private final class Recorded: Sendable {
  private let state = Mutex<(refused: [TurnedAway], isOver: Bool)>(([], false))
  var all: [TurnedAway] { state.withLock { $0.refused } }
  var isOver: Bool { state.withLock { $0.isOver } }
  func add(_ one: TurnedAway) { state.withLock { $0.refused.append(one) } }
  func end() { state.withLock { $0.isOver = true } }
}
