import AgentshWire
import Testing

@Suite struct HandoffTests {
  private let token = [UInt8](0x10..<0x20)

  @Test func `each form has these bytes and comes back`() throws {
    let forms: [(HandoffMessage, [UInt8])] = [
      (.old, [0]),
      (.current(pid: 0x1234, token: nil), [0xA7, 0x34, 0x12, 0, 0]),  // mark, pid
      (.current(pid: 1, token: token), [0xA7, 1, 0, 0, 0] + token),  // mark, pid, token
      (.supervise(pid: 2, token: token), [0xA8, 2, 0, 0, 0] + token),
      (.prepare(token: token), [0xA9] + token),
    ]
    for (message, bytes) in forms {
      #expect(message.bytes == bytes)
      #expect(try HandoffMessage(bytes) == message)
    }
  }

  @Test func `any one byte but ours is the old form`() throws {
    let ours = [HandoffMessage.superviseMark, HandoffMessage.prepareMark]
    for byte in UInt8.min...UInt8.max where !ours.contains(byte) {
      #expect(try HandoffMessage([byte]) == .old)
    }
    for mark in ours { #expect(throws: WireError.self) { try HandoffMessage([mark]) } }
  }

  @Test func `cut, too long, or with a pid that is none, it is refused`() {
    for message in [HandoffMessage.supervise(pid: 2, token: token), .prepare(token: token)] {
      let whole = message.bytes
      for length in 0..<whole.count {
        #expect(throws: WireError.self) { try HandoffMessage(Array(whole[..<length])) }
      }
      #expect(throws: WireError.self) { try HandoffMessage(whole + [0]) }
    }
    let current = HandoffMessage.current(pid: 2, token: token).bytes
    for length in 6..<current.count {
      #expect(throws: WireError.self) { try HandoffMessage(Array(current[..<length])) }
    }
    #expect(throws: WireError.self) { try HandoffMessage([0xA7, 0, 0, 0, 0]) }
    #expect(throws: WireError.self) { try HandoffMessage([0xA7, 0xFF, 0xFF, 0xFF, 0xFF]) }
    #expect(throws: WireError.self) { try HandoffMessage([1, 2]) }
  }

  @Test func `random bytes never crash`() {
    var random = SplitMix(state: 3)
    for _ in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0..<24, using: &random)).map { _ in
        UInt8.random(in: .min ... .max, using: &random)
      }
      if !bytes.isEmpty, Bool.random(using: &random) {
        bytes[0] = 0xA7 + UInt8.random(in: 0...2, using: &random)
      }
      _ = try? HandoffMessage(bytes)
    }
  }

  @Test func `the supervisor's command line comes back as it went`() {
    var given = SupervisorArguments(.given(channel: 3, listener: 4), target: 500, pidfd: 6)
    given.spool = 9
    given.group = 10
    #expect(given.descriptors == [3, 4, 6, 9, 10])
    #expect(given.launchSocket == nil)
    var traced = SupervisorArguments(.given(channel: 3, listener: nil), target: 500, pidfd: 6)
    traced.traces = true
    traced.restart = 7
    #expect(traced.descriptors == [3, 6, 7])
    let starter = Starter(pid: 500, socket: 7, tty: 8, quiet: true)
    #expect(SupervisorCommand.starter(starter).descriptors == [7, 8])
    let plain = Starter(pid: 500, socket: 7, tty: nil, quiet: false)
    for command: SupervisorCommand in [.given(given), .given(traced), .starter(starter), .starter(plain)] {
      #expect(SupervisorCommand(parsing: Array(command.argv.dropFirst())) == command)
    }
  }

  @Test(arguments: [
    [], ["--channel"], ["--channel", "3"], ["--bogus", "1"],
    ["--channel", "-1", "--listener", "4", "--target", "5", "--pidfd", "6"],
    ["--channel", "3", "--channel", "3", "--listener", "4", "--target", "5", "--pidfd", "6"],
    ["--channel", "x", "--listener", "4", "--target", "5", "--pidfd", "6"],
    ["--channel", "3", "--listener", "4", "--target", "5", "--pidfd", "6", "extra"],
    ["--channel", "3", "--target", "5", "--pidfd", "6"],
    ["--channel", "3", "--listener", "4", "--start", "7", "--target", "5", "--pidfd", "6"],
    ["--channel", "3", "--listener", "4", "--tty", "7", "--target", "5", "--pidfd", "6"],
    ["--channel", "3", "--listener", "4", "--target", "5", "--pidfd", "6", "--quiet"],
    ["--channel", "3", "--listener", "4", "--target", "5", "--pidfd", "6", "--restart", "7"],
    ["--channel", "3", "--listener", "4", "--target", "5", "--pidfd", "6", "--trace"],
    ["--starter", "5"], ["--start", "5"], ["--starter", "5", "--start", "7", "--pidfd", "6"],
    ["--starter", "5", "--start", "7", "--trace"], ["--starter", "5", "--start", "7", "--quiet", "--quiet"],
  ])
  func `a command line of another shape is refused`(words: [String]) {
    #expect(SupervisorCommand(parsing: words) == nil)
  }

  @Test func `what a starter tells of the launcher is taken with its three descriptors only`() throws {
    let starter = Starter(pid: 500, socket: 7, tty: 8, quiet: true)
    let started = Started(target: 501, traces: true)
    var expected = SupervisorArguments(.launcher(socket: 20), target: 501, pidfd: 21)
    (expected.log, expected.tty, expected.quiet, expected.traces) = (22, 8, true, true)
    #expect(expected.launchSocket == 20)
    #expect(SupervisorArguments(starter, started, [20, 21, 22]) == expected)
    for descriptors: [Int32] in [[], [20, 21], [20, 21, 22, 23]] {
      #expect(SupervisorArguments(starter, started, descriptors) == nil)
    }
    #expect(try decoded(Started.self, encoded(started)) == started)
  }

  @Test func `what a client tells the supervisor comes back as it went`() throws {
    let handIn = HandIn(
      path: "/run/x/notify", daemonPid: 12, daemonUID: 1000, token: [UInt8](repeating: 3, count: 16))
    var writer = WireWriter()
    writer.value(handIn)
    var reader = WireReader(writer.bytes)
    #expect(try reader.value(HandIn.self) == handIn)
    try reader.finish()
    for count in 0..<writer.bytes.count {
      #expect(throws: WireError.self) {
        var reader = WireReader(Array(writer.bytes.prefix(count)))
        _ = try reader.value(HandIn.self)
      }
    }
  }

  @Test func `what an agent begins again as comes back as it went`() throws {
    let plan = RestartPlan(launcher: "/usr/lib/x/launch", command: ["/bin/sh", "-c", ""], plan: "00ff")
    var writer = WireWriter()
    writer.value(plan)
    for count in 0...writer.bytes.count {
      var reader = WireReader(Array(writer.bytes.prefix(count)))
      let read = try? reader.value(RestartPlan.self)
      #expect(read == (count == writer.bytes.count ? plan : nil))
    }
  }

  @Test func `the end of a launcher in words`() {
    let filter = LaunchEnd(code: 74, signal: nil, lastLine: "cannot: EPERM (1)", ownFailure: 125)
    #expect(filter.code == 125 && filter.message == "cannot: EPERM (1)" && filter.hint != nil)
    #expect(LaunchEnd(code: 127, signal: nil, lastLine: nil, ownFailure: 125).code == 127)
    let killed = LaunchEnd(code: 0, signal: 9, lastLine: nil, ownFailure: 125)
    #expect(killed.code == 125 && killed.message == "the launcher was ended by signal 9")
  }
}
