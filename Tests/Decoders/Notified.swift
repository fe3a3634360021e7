import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization

/// A supervisor in this process whose policy denies everything: what it is asked it reads, resolves, decides and
/// records, and carries nothing out. Its answers go nowhere.
private struct DenyingSupervisor: ~Copyable {
  let mediator: Mediator
  var scratch: Scratch
  var records = WireWriter()

  init?() {
    var rules = PolicyRules()
    rules.fileRules = [FileRule(name: "all", paths: ["**"], decision: .deny)]
    rules.unixSocketRules = [UnixSocketRule(name: "all", paths: ["**"], decision: .deny)]
    rules.denyReadsByDefault = true
    // Two rules and a pattern, so that commands and their arguments are looked at.
    var command = CommandRule(name: "some", commands: ["*sh"], decision: .deny)
    command.argumentPatterns = ["a+b"]
    rules.commandRules = [command]
    rules.networkRules = [NetworkRule(name: "all", decision: .deny)]
    rules.signalRules = SignalTarget.allCases.filter { ![.user, .process].contains($0) }.map {
      SignalRule(name: "all", signals: .max, target: $0, decision: .deny)
    }
    guard let policy = try? CompiledPolicy(rules), let frame = try? Frame(target: currentProcess(), tty: nil)
    else { return nil }
    let processes = ProcessTable(target: currentProcess(), tellsDepths: false)
    mediator = Mediator(
      policy: policy, frame: frame, recorder: Recorder(processes: processes, logAllowed: true),
      processes: processes, helpers: HelperPool(listener: -1))
    scratch = Scratch(policy: policy, mayBlock: false)
  }

  /// Handles one call. Returns the records of it.
  mutating func handle(_ request: seccomp_notif) -> [EventRecord]? {
    mediator.handle(PendingNotification(request, listener: -1), &scratch)
    guard let (first, count) = mediator.recorder.drain(into: &records) else { return [] }
    var batch = WireWriter()
    batch.integer(first)
    batch.integer(count)
    batch.append(records.bytes)
    return decoded(EventBatch.self, batch.bytes)?.records
  }
}

private let supervisor = Mutex(DenyingSupervisor())

extension Decoder {
  /// A `struct seccomp_notif`, and behind it the memory that its registers point to: whatever call it is and whatever
  /// lies there, it is handled, its records are records, none of them says that something was allowed to be changed,
  /// and no descriptor stays open.
  static let notification = Decoder("notification") { (bytes) throws(Broken) in
    guard let arena = Arena.shared else { throw Broken("no memory") }
    var input = Input(bytes)
    var request = seccomp_notif()
    request.id = input.number(8)
    // A thread of this process: memory and tables of others are nobody's business here.
    request.pid = UInt32(bitPattern: currentThread())
    request.data.nr = Int32(truncatingIfNeeded: input.number(2))
    let arguments = (0..<6).map { _ in arena.address(input.number(8)) }
    withUnsafeMutableBytes(of: &request.data.args) { bytes in
      for index in 0..<6 { bytes.storeBytes(of: arguments[index], toByteOffset: index * 8, as: UInt64.self) }
    }
    let (id, call) = (request.id, request.data.nr)
    let asked = request
    try arena.holding(input.tail) { (_, _) throws(Broken) in
      let notification = PendingNotification(asked, listener: -1)
      try hold(
        notification.id == id && notification.call == call && notification.thread == currentThread(),
        "the head")
      for index in 0..<6 {
        try hold(notification.arguments[index] == arguments[index], "argument \(index)")
        try hold(
          UInt32(bitPattern: notification.int(index)) == UInt32(arguments[index] & 0xffff_ffff),
          "argument \(index)")
      }
      let isThere = supervisor.withLock { $0 != nil }  // made now, with the descriptors that it keeps
      try hold(isThere, "no supervisor")
      let lowest = lowestFree()
      let records = supervisor.withLock { $0?.handle(asked) }
      guard let records else { throw Broken("records that are none") }
      for record in records {
        try hold(
          record.call == UInt16(truncatingIfNeeded: call), "call \(call) is recorded as \(record.call)")
        let isMechanism = record.rule == Decision(.allow, .file, default: .mechanism).rule
        try hold(record.effect != .allowed || isMechanism, "allowed: \(record)")
      }
      let after = lowestFree()
      try hold(after == lowest, "call \(call): descriptor \(lowest) stayed open")
    }
  }
}
