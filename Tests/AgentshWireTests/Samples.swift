import AgentshPolicy
import AgentshWire

/// One of everything, with every field set.
enum Samples {
  static var rules: PolicyRules {
    var rules = PolicyRules()
    rules.version = 3
    rules.name = "täst"
    rules.description = "d"
    var file = FileRule(
      name: "f", paths: ["/a", "/b/**"], operations: [.init(.read), .init(.open)], decision: .deny)
    file.description = "fd"
    file.message = "m"
    file.timeoutSeconds = 7
    file.redirectTo = "/out"
    file.preserveTree = true
    rules.fileRules = [file, FileRule(name: "", paths: [], decision: .softDelete)]
    var command = CommandRule(name: "c", commands: ["git"], decision: .redirect)
    command.argumentPatterns = ["^push"]
    command.minDepth = 1
    command.maxDepth = 9
    var redirect = CommandRedirect(command: "echo")
    redirect.arguments = ["no"]
    redirect.argumentsAppend = ["x"]
    redirect.environment = ["B": "2", "A": "1"]
    command.redirect = redirect
    rules.commandRules = [command]
    var network = NetworkRule(name: "n", decision: .audit)
    network.domains = ["*"]
    network.ports = [53, 443]
    network.ranges = [
      AddressRange(base: .v4(0x0A00_0000), bits: 8), AddressRange(base: .v6(high: 1, low: 2), bits: 128),
    ]
    rules.networkRules = [network]
    var socket = UnixSocketRule(name: "u", paths: ["@x"], decision: .allow)
    socket.operations = [.init(.bind)]
    rules.unixSocketRules = [socket]
    var signal = SignalRule(name: "s", signals: 1 << 14, target: .process, decision: .absorb)
    signal.targetPattern = "x*"
    signal.targetMin = 1
    signal.targetMax = 2
    signal.fallback = .deny
    signal.redirectTo = 15
    rules.signalRules = [signal]
    rules.denyReadsByDefault = true
    rules.environment.allow = ["PATH"]
    rules.environment.deny = ["X"]
    rules.environment.maxBytes = 10
    rules.environment.maxKeys = 2
    rules.environment.inject = ["K": "v"]
    rules.audit.logAllowed = false
    rules.transparentAdd = ["a"]
    rules.transparentRemove = ["r"]
    rules.floor = ["/run/agentsh"]
    rules.trash = ["/home/u/.local/state/agentsh/trash", "/w/.agentsh_trash"]
    return rules
  }

  static var narrowed: SessionRules {
    get throws {
      var own = PolicyRules()
      own.name = "own"
      own.fileRules = [FileRule(name: "no-y", paths: ["/w/y"], decision: .deny)]
      return try SessionRules(rules, narrowedBy: own)
    }
  }

  static let key = [UInt8](0..<32)

  static var welcome: Welcome {
    Welcome(
      sessionID: "session-1", workspace: "/w", ownerUID: 1000, policy: SessionRules(rules), reattachKey: key,
      supervisorSocket: "/run/s.sock", spoolPath: "/var/spool", spoolLimit: 1 << 40, overflow: .kill,
      approvalLimit: 64, approvalTimeout: 300)
  }

  static var record: EventRecord {
    var record = EventRecord(kind: .exec, timestamp: 1_763_000_000_000_000_000, pid: 42)
    record.latencyNanoseconds = 9000
    record.parentPid = 41
    record.depth = 2
    record.call = 59
    record.operation = 3
    record.effect = .blocked
    record.errno = 13
    record.verdict = 1
    record.list = 1
    record.rule = -5
    record.command = "sh"
    record.rawPath = "../x"
    record.path = "/x"
    record.path2 = "/y"
    record.argv = ["x", "", "-rf"]
    return record
  }

  static let ready = Ready(supervisorPid: 7, targetPid: 8, degraded: ["no Landlock"])
  static let finished = Finished(exitCode: 137, denied: 3)
  static let finishedUnseen = Finished(exitCode: nil, denied: 3)
  static let batch = EventBatch(
    first: 10, records: [record, EventRecord(kind: .lifecycle, timestamp: 1, pid: 2)])
  static let request = ApprovalRequest(
    number: 3, kind: .command, milliseconds: 5000, pid: 42, list: 1, rule: 2, operation: "", target: "/x",
    other: "", command: "sh", arguments: ["-a", ""])
  static let hello = Hello(sessionID: "s", supervisorPid: 5, reattachKey: key)
}

func encoded(_ value: some WireCodable) -> [UInt8] {
  var writer = WireWriter()
  writer.value(value)
  return writer.bytes
}

func decoded<T: WireCodable>(_: T.Type, _ bytes: [UInt8]) throws(WireError) -> T {
  var reader = WireReader(bytes)
  let value = try reader.value(T.self)
  try reader.finish()
  return value
}

/// A generator with a seed, so that a failure can be had again.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
