import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Synchronization
import Testing

/// Rules that allow everything under these globs, for files and sockets.
private func allowing(paths: String..., denied: [String] = []) -> PolicyRules {
  var rules = PolicyRules()
  if !denied.isEmpty {
    rules.unixSocketRules.append(UnixSocketRule(name: "closed", paths: denied, decision: .deny))
  }
  rules.unixSocketRules.append(UnixSocketRule(name: "open", paths: paths, decision: .allow))
  rules.fileRules = [FileRule(name: "files", paths: paths, decision: .allow)]
  return rules
}

private func listening(_ address: [UInt8]) -> Int {
  let fd = socket(AF_UNIX, tcp)
  _ = bind(fd, address)
  _ = call(SYS_listen, fd, 64)
  return fd
}

private func inode(_ path: String) -> (exists: Bool, mode: UInt32) {
  var information = stat()
  let result = statAt(-100, PathText(path), &information, flags: AT_SYMLINK_NOFOLLOW)
  return (result == 0, information.st_mode)
}

/// Gives the calling thread a working directory of its own.
private func enter(_ path: String) {
  _ = separateFileSystemState()
  let fd = openAt(-100, PathText(path), flags: O_PATH | O_DIRECTORY)
  _ = changeDirectory(Int32(fd))
  close(fd)
}

extension SocketTests {
  @Suite struct SocketUnixTests {
    @Test func `A denied socket is denied by each of its names, an allowed one connects by each`() throws {
      let directory = freshDirectory("names")
      defer { removeTree(directory) }
      let secret = listening(unixPath(directory + "/secret"))
      let open = listening(unixPath(directory + "/open"))
      defer { [secret, open].forEach(close) }
      _ = symlinkAt(PathText("secret"), -100, PathText(directory + "/link"))
      _ = symlinkAt(PathText("open"), -100, PathText(directory + "/good"))
      let names = [
        "/secret", "/link", "/./secret", "/../" + (directory.split(separator: "/").last ?? "") + "/secret",
      ]
      for name in names {
        let bare = socket(AF_UNIX, tcp)
        #expect(connect(bare, unixPath(directory + name)) == 0)
        close(bare)
      }
      let harness = try SocketHarness(allowing(paths: directory + "/**", denied: [directory + "/secret"]))
      let results = harness.run {
        enter(directory)
        func attempt(_ path: String) -> Int {
          let fd = socket(AF_UNIX, tcp)
          defer { close(fd) }
          return connect(fd, unixPath(path))
        }
        let others = [
          "secret", "link", "good", "open", directory + "/good", "nothing",
        ]
        return names.map { attempt(directory + $0) } + others.map(attempt)
      }
      let no = failed(EACCES)
      #expect(results == [no, no, no, no, no, no, 0, 0, 0, failed(ENOENT)])
      let records = harness.records(atLeast: 10)
      #expect(records.count == 10)
      #expect(records.prefix(6).allSatisfy { $0.path == directory + "/secret" && $0.effect == .blocked })
      #expect(records.prefix(6).allSatisfy { $0.kind == .unixSocket })
      #expect(records.dropFirst(6).first?.rawPath == "good")
    }

    @Test func `Abstract names are decided by all of their bytes`() throws {
      let name = Array("agentsh-test-\(currentProcess())".utf8)
      let open = listening(unixAbstract(name))
      let other = listening(unixAbstract(name + [0]))
      let secret = listening(unixAbstract(Array("secret-".utf8) + name))
      defer { [open, other, secret].forEach(close) }
      for bytes in [name, name + [0], Array("secret-".utf8) + name] {
        let bare = socket(AF_UNIX, tcp)
        #expect(connect(bare, unixAbstract(bytes)) == 0)
        close(bare)
      }
      let harness = try SocketHarness(allowing(paths: "@" + String(decoding: name, as: UTF8.self)))
      let results = harness.run {
        [name, name + [0], Array("secret-".utf8) + name].map { bytes in
          let fd = socket(AF_UNIX, tcp)
          defer { close(fd) }
          return connect(fd, unixAbstract(bytes))
        }
      }
      #expect(results == [0, failed(EACCES), failed(EACCES)])
    }

    @Test func `What is bound keeps the caller's string, mask and place`() throws {
      let directory = freshDirectory("bind")
      defer { removeTree(directory) }
      _ = mkdirAt(-100, PathText(directory + "/sub"), mode: 0o755)
      let harness = try SocketHarness(allowing(paths: directory + "/**"))
      let strings = [
        "plain", "sub/nested", "./dotted", "../" + (directory.split(separator: "/").last ?? "") + "/up",
      ]
      let outcome = harness.run {
        enter(directory)
        setFileCreationMask(0o027)
        return (strings + [directory + "/whole"]).map { path in
          let fd = socket(AF_UNIX, tcp)
          defer { close(fd) }
          return (result: bind(fd, unixPath(path)), name: getsockname(fd))
        }
      }
      for (path, given) in zip(strings + [directory + "/whole"], outcome) {
        #expect(given.result == 0, "\(path)")
        #expect(given.name == unixPath(path), "\(path)")
      }
      for leaf in ["/plain", "/sub/nested", "/dotted", "/up", "/whole"] {
        let found = inode(directory + leaf)
        #expect(found.exists && found.mode & 0o170000 == 0o140000, "\(leaf)")
        #expect(found.mode & 0o777 == 0o750, "\(leaf)")
      }
    }

    @Test func `A bind is denied where sockets or files are, and nothing is made`() throws {
      let directory = freshDirectory("closed")
      defer { removeTree(directory) }
      let bare = socket(AF_UNIX, tcp)
      #expect(bind(bare, unixPath(directory + "/a")) == 0)
      close(bare)
      _ = unlinkAt(-100, PathText(directory + "/a"), flags: 0)
      var rules = allowing(paths: directory + "/**", denied: [directory + "/a"])
      rules.fileRules = [
        FileRule(name: "no", paths: [directory + "/b"], operations: FileOperations(.create), decision: .deny),
        FileRule(name: "yes", paths: [directory + "/**"], decision: .allow),
      ]
      let harness = try SocketHarness(rules)
      let results = harness.run {
        enter(directory)
        return [
          directory + "/a", "a", directory + "/b", "b", "/tmp/agentsh-elsewhere", "c", "c", "missing/d",
        ]
        .map { path in
          let fd = socket(AF_UNIX, tcp)
          defer { close(fd) }
          return bind(fd, unixPath(path))
        }
      }
      let no = failed(EACCES)
      #expect(results == [no, no, no, no, no, 0, failed(EADDRINUSE), failed(ENOENT)])
      #expect(!inode(directory + "/a").exists && !inode(directory + "/b").exists)
      #expect(!inode("/tmp/agentsh-elsewhere").exists)
    }

    @Test func `IP addresses, abstract names and autobind are bound`() throws {
      let harness = try SocketHarness(allowing(paths: "@agentsh-bind-ok"))
      let results = harness.run {
        let (internet, abstract, denied, auto, raw) = (
          socket(AF_INET, tcp), socket(AF_UNIX, tcp), socket(AF_UNIX, tcp), socket(AF_UNIX, udp),
          makeSocket(AF_INET, 3, 1)
        )
        defer { [internet, abstract, denied, auto, raw].forEach(close) }
        return [
          bind(internet, loopback(0)), bind(abstract, unixAbstract(Array("agentsh-bind-ok".utf8))),
          bind(denied, unixAbstract(Array("agentsh-bind-no".utf8))), bind(auto, [1, 0]),
          getsockname(auto).count,
          bind(raw, loopback(0)), bind(internet, [2]), bind(auto, loopback(0)),
        ]
      }
      let raw = currentUser() == 0 ? failed(EPERM) : failed(EBADF)  // only root gets a raw socket to try with
      #expect(results == [0, 0, failed(EACCES), 0, 8, raw, failed(EINVAL), failed(EINVAL)])
      let records = harness.records(atLeast: 5)
      #expect(records.first?.kind == .bind && records.first?.path == "127.0.0.1:0")
    }

    @Test func `A link swapped during bind makes no socket in a denied directory`() throws {
      let directory = freshDirectory("race")
      defer { removeTree(directory) }
      _ = mkdirAt(-100, PathText(directory + "/good"), mode: 0o755)
      _ = mkdirAt(-100, PathText(directory + "/bad"), mode: 0o755)
      _ = symlinkAt(PathText("good"), -100, PathText(directory + "/way"))
      _ = symlinkAt(PathText("bad"), -100, PathText(directory + "/other"))
      let harness = try SocketHarness(allowing(paths: directory + "/**", denied: [directory + "/bad/**"]))
      let swapper = Swapper(directory)
      try NamedThread.start("swapper") { swapper.run() }
      let (made, refused) = harness.run {
        var (made, refused) = (0, 0)
        let end = monotonicClock() + 3_000_000_000
        while monotonicClock() < end {
          let fd = socket(AF_UNIX, tcp)
          if bind(fd, unixPath(directory + "/way/s")) == 0 { made += 1 } else { refused += 1 }
          close(fd)
          if inode(directory + "/bad/s").exists { swapper.leaks.add(1, ordering: .relaxed) }
          _ = unlinkAt(-100, PathText(directory + "/good/s"), flags: 0)
          _ = unlinkAt(-100, PathText(directory + "/bad/s"), flags: 0)
        }
        return (made, refused)
      }
      swapper.stop.store(true, ordering: .relaxed)
      #expect(made > 0 && refused > 0)
      #expect(swapper.leaks.load(ordering: .relaxed) == 0)
    }

    @Test func `A link swapped during connect never leads to a denied socket`() throws {
      let directory = freshDirectory("connect-race")
      defer { removeTree(directory) }
      let good = listening(unixPath(directory + "/good"))
      let bad = listening(unixPath(directory + "/bad"))
      defer { [good, bad].forEach(close) }
      _ = symlinkAt(PathText("good"), -100, PathText(directory + "/way"))
      _ = symlinkAt(PathText("bad"), -100, PathText(directory + "/other"))
      let harness = try SocketHarness(allowing(paths: directory + "/**", denied: [directory + "/bad"]))
      let swapper = Swapper(directory)
      try NamedThread.start("swapper") { swapper.run() }
      let (connected, refused) = harness.run {
        var (connected, refused) = (0, 0)
        let end = monotonicClock() + 3_000_000_000
        while monotonicClock() < end {
          let fd = socket(AF_UNIX, tcp)
          if connect(fd, unixPath(directory + "/way")) == 0 { connected += 1 } else { refused += 1 }
          close(fd)
          while let taken = accept(good) { close(taken) }
        }
        return (connected, refused)
      }
      swapper.stop.store(true, ordering: .relaxed)
      #expect(connected > 0 && refused > 0)
      #expect(accept(bad) == nil)
    }

    /// Exchanges two links as fast as it can.
    private final class Swapper: Sendable {
      let stop = Atomic<Bool>(false)
      let leaks = Atomic<Int>(0)
      private let directory: String
      init(_ directory: String) { self.directory = directory }
      func run() {
        let (one, other) = (PathText(directory + "/way"), PathText(directory + "/other"))
        while !stop.load(ordering: .relaxed) { _ = renameAt2(-100, one, -100, other, flags: 2) }
      }
    }
  }
}
