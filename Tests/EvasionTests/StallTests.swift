import Foundation
import Harness
import Testing

/// A file system whose server stops answering gets its own callers stuck, and nobody else: the supervisor goes on
/// answering the rest of the tree. `Tests/fixtures/stall.c` is server and caller; mounting it needs root.
@Suite(.serialized) struct StallTests {
  private static let ways = [
    "open", "create", "relative", "stat", "unlink", "rename", "execve", "fchmod", "futimens", "fsetxattr",
    "fstat",
    "getdents", "connect", "pidfd_send_signal", "inotify_add_watch", "sendmsg", "memory",
  ]

  /// Ptrace mode has one thread that traces, and nobody takes its place (docs/enforcement.md): where closing its copy of a
  /// descriptor, or reading memory, waits for the server, the tree does until the server is gone, and goes on then.
  private static let waysThatMayHoldTheTracer = [
    "inotify_add_watch", "memory", "pidfd_send_signal", "sendmsg",
  ]

  @Test(arguments: Caller.allCases) func `a file system that does not answer`(caller: Caller) throws {
    let server = try Server(as: caller)
    for way in Self.ways {
      let bare = try server.output(way, inside: false)
      try #require(Self.worst(bare) != nil, "\(way), bare: \(bare)")
      let inside = try server.output(way, inside: true)
      if Place.isTraced, Self.waysThatMayHoldTheTracer.contains(way), inside.contains("stuck") {
        // It has gone on, and so have the others, if they were not killed before: both are let go at once, and either
        // may say so first.
        let lines = inside.split(separator: "\n").filter { $0 != "stuck" }
        #expect(lines.isEmpty || lines.count == 1 && Self.worst("\(lines[0])") != nil, "\(way): \(inside)")
      } else {
        #expect(try #require(Self.worst(inside), "\(way): \(inside)") < 1000, "\(way): \(inside)")
      }
    }
  }

  @Test(arguments: Caller.allCases) func `a file system that is mounted when the session runs already`(
    caller: Caller
  )
    throws
  {
    let server = try Server(as: caller)
    for way in ["open", "fchmod"] {
      let inside = try server.output(way, inside: true, mountedLater: true)
      #expect(try #require(Self.worst(inside), "\(way): \(inside)") < 1000, "\(way): \(inside)")
    }
  }

  /// A call that may wait takes a helper, of which there are 1,024. Who finds none is refused within
  /// seconds.
  @Test(arguments: Caller.allCases, [300, 1500, 8000])
  func `calls that wait for what nobody does`(caller: Caller, count: Int) throws {
    let server = try Server(as: caller)
    let words = try server.waiting(count).split(whereSeparator: \.isWhitespace).map(String.init)
    try #require(words.count == 11 && words[1] == "waiting" && words[7] == "connect", "\(words)")
    let (waiting, refused) = (try #require(Int(words[0])), try #require(Int(words[2])))
    #expect(waiting + refused == count, "\(words)")
    #expect(count < 1024 ? refused == 0 : waiting < 1100, "\(words)")
    #expect(try #require(Int(words[5])) < 1000, "\(words)")
    // With a helper left it is carried out; without one it is refused, and does not wait for them.
    #expect(words[8] == (count < 1024 ? "done" : "EAGAIN"), "\(words)")
    #expect(try #require(Int(words[9])) < 5000, "\(words)")
  }

  /// Milliseconds; nil when the fixture did not get so far, or nobody was answered.
  private static func worst(_ output: String) -> Int? {
    let words = output.split(whereSeparator: \.isWhitespace)
    return words.count == 3 && words[0] == "worst" ? Int(words[1]) : nil
  }

  private final class Server {
    private let place: Place
    private let stall: String
    private let policy: String
    private let mount: String
    private let local: String

    init(as caller: Caller) throws {
      place = try Place(as: caller)
      try place.mountPrivately("true")
      stall = try place.install("stall", at: place.outside + "/stall")
      mount = place.outside + "/mount"
      try place.makeDirectory(mount)
      local = try place.write("local", to: place.outside + "/local")
      // Looks are asked about where a rule can stop them.
      policy = try place.policy(
        """
        file_rules:
          - {name: secret, paths: ["\(place.outside)/secret/**"], operations: ["*"], decision: deny}
          - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
        command_rules: [{name: all, commands: ["*"], decision: allow}]
        network_rules: [{name: all, domains: ["*"], decision: allow}]
        unix_socket_rules: [{name: all, paths: ["/**"], decision: allow}]
        """)
    }

    /// What `stall wait` says, inside.
    func waiting(_ count: Int) throws -> String {
      let fifo = place.outside + "/fifo"
      try #require(place.run(["/usr/bin/mkfifo", fifo]).succeeded)
      let words = [stall, "wait", "\(count)", fifo, local]
      return try place.wrap(words, policy: policy, timeout: .seconds(60)).output
    }

    private func serve() throws {
      try place.mountPrivately(
        """
        rm -f '\(mount).log'
        '\(stall)' serve '\(mount)' > '\(mount).log' 2>&1 < /dev/null &
        echo $! > '\(mount).pid'
        for i in $(seq 100); do grep -q serving '\(mount).log' && exit 0; sleep 0.02; done
        cat '\(mount).log' >&2; exit 1
        """)
    }

    /// What `stall try` says. The server is ended then, so that those who are stuck get through.
    func output(_ way: String, inside: Bool, mountedLater: Bool = false) throws -> String {
      if !mountedLater { try serve() }
      var words = [stall, "try", way, mount, local]
      if mountedLater {
        words =
          [
            "/bin/sh", "-c", "until [ -e \(mount)/file ]; do sleep 0.05; done; exec \"$@\"", "sh",
          ] + words
      }
      let running = try place.start(
        inside ? place.wrapping(words, policy: policy, options: ["--quiet"]) : words)
      if mountedLater {
        _ = eventually(within: .seconds(5)) { self.place.exists(self.place.socket) }
        usleep(300_000)
        try serve()
      }
      _ = eventually(within: .seconds(10)) { running.outputSoFar.hasSuffix("\n") }
      try place.mountPrivately("kill -9 $(cat '\(mount).pid'); umount -l '\(mount)'")
      return running.finish(timeout: .seconds(20)).output
    }
  }
}
