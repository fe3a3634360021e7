import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp
import Synchronization
import Testing

/// One after the other: they race threads of their own, and wait for helpers.
@Suite(.serialized) struct SocketTests {}

/// Runs test bodies on a thread whose socket calls are notified to a mediator in this same process. The filter is that
/// thread's alone; receiver and helpers are as in the supervisor.
final class SocketHarness: Sendable {
  private let mediator: Mediator
  private let helpers: HelperPool
  private let recorder: Recorder
  private let listener: Int32
  private let ended = Atomic<Bool>(false)
  private let body: Mutex<(@Sendable () -> Void)?> = Mutex(nil)
  private let thread = Atomic<Int32>(0)
  private let go = FutexWord()
  private let done = FutexWord()

  /// Starts a thread under the filter and a mediator for it.
  init(_ rules: PolicyRules) throws {
    let ready = FutexWord()
    let box = Box()
    let go = go
    let done = done
    try NamedThread.start("caller") {
      box.listener.store(Int(Self.installFilter()), ordering: .sequentiallyConsistent)
      box.thread.store(currentThread(), ordering: .sequentiallyConsistent)
      ready.wakeAll()
      while go.value == 0 { go.wait(while: 0) }
      box.body.withLock { $0 }?()
      done.wakeAll()
    }
    while ready.value == 0 { ready.wait(while: 0) }
    listener = Int32(box.listener.load(ordering: .sequentiallyConsistent))
    try #require(listener >= 0, "the filter could not be installed: \(listener)")
    thread.store(box.thread.load(ordering: .sequentiallyConsistent), ordering: .sequentiallyConsistent)
    let processes = ProcessTable(target: currentProcess(), tellsDepths: false)
    recorder = Recorder(processes: processes, logAllowed: true)
    helpers = HelperPool(listener: listener)
    mediator = Mediator(
      policy: try CompiledPolicy(rules), frame: try Frame(target: currentProcess(), tty: nil),
      recorder: recorder,
      processes: processes, helpers: helpers)
    catchQuietly(HelperPool.wakeSignal)
    start(box)
  }

  private final class Box: Sendable {
    let listener = Atomic<Int>(0)
    let thread = Atomic<Int32>(0)
    let body: Mutex<(@Sendable () -> Void)?> = Mutex(nil)
  }
  private let box = Mutex<Box?>(nil)

  private func start(_ box: Box) {
    self.box.withLock { $0 = box }
    let mediator = mediator
    let helpers = helpers
    helpers.setBody {
      _ = separateFileSystemState()
      var scratch = Scratch(policy: mediator.policy, mayBlock: true)
      setFileCreationMask(scratch.mask)
      while true { mediator.handle(helpers.next(&scratch.reply), &scratch) }
    }
    let number = listener
    let ended: @Sendable () -> Bool = { [self] in self.ended.load(ordering: .relaxed) }
    try? NamedThread.start("receiver") {
      _ = separateFileSystemState()
      let source = Listener(owning: FileDescriptor(owning: number))
      var scratch = Scratch(policy: mediator.policy, mayBlock: false)
      setFileCreationMask(scratch.mask)
      while !ended() {
        var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 50) > 0 else { continue }
        switch source.receive() {
        case .notification(let n): mediator.handle(n, &scratch)
        case .nothing: continue
        case .closed: return
        }
      }
    }
    try? NamedThread.start("watch") {
      while !ended() {
        helpers.wakeAbandoned()
        usleep(20_000)
      }
    }
  }

  /// The id of the thread under the filter.
  var caller: Int32 { thread.load(ordering: .sequentiallyConsistent) }

  /// Runs `work` on the thread under the filter, once, and gives its result back.
  func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) -> Value {
    let result = Mutex<Value?>(nil)
    withExtendedLifetime(result) {
      let slot = Slot<Value>()
      box.withLock { box in box?.body.withLock { $0 = { slot.value.withLock { $0 = work() } } } }
      go.wakeAll()
      while done.value == 0 { done.wait(while: 0) }
      result.withLock { $0 = slot.value.withLock { $0 } }
    }
    ended.store(true, ordering: .relaxed)
    return result.withLock { $0! }
  }

  private final class Slot<Value: Sendable>: Sendable { let value = Mutex<Value?>(nil) }

  /// What was recorded so far; waits a moment, because records are made after the answer.
  func records(atLeast count: Int) -> [EventRecord] {
    var found: [EventRecord] = []
    var buffer = WireWriter()
    for _ in 0..<200 where found.count < count {
      if let taken = recorder.drain(into: &buffer) {
        var reader = WireReader(buffer.bytes)
        for _ in 0..<taken.count { if let record = try? EventRecord(from: &reader) { found.append(record) } }
      }
      if found.count < count { usleep(5000) }
    }
    // By the time of the call: the next one may have been recorded by another helper first.
    return found.sorted { $0.timestamp < $1.timestamp }
  }

  /// connect, bind, sendto, sendmsg and sendmmsg notify; all else is allowed. Returns the listener or -errno.
  private static func installFilter() -> Int {
    rawCall(Int(SYS_prctl), Int(PR_SET_NO_NEW_PRIVS), 1)
    let calls = [SYS_connect, SYS_bind, SYS_sendto, SYS_sendmsg, SYS_sendmmsg]
    var program = [sock_filter(code: 0x20, jt: 0, jf: 0, k: 0)]
    for (index, call) in calls.enumerated() {
      program.append(sock_filter(code: 0x15, jt: UInt8(calls.count - index), jf: 0, k: UInt32(call)))
    }
    program.append(sock_filter(code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000))
    program.append(sock_filter(code: 0x06, jt: 0, jf: 0, k: 0x7fc0_0000))
    return program.withUnsafeBufferPointer {
      clinux_seccomp_install($0.baseAddress, UInt16($0.count), 1 << 3 | 1 << 5)
    }
  }
}

// Raw calls for the bodies, as a C program would make them.

func call(
  _ number: some BinaryInteger, _ a: Int, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
)
  -> Int
{ rawCall(Int(number), a, b, c, d, e, f) }

func connect(_ fd: Int, _ address: [UInt8]) -> Int {
  address.withUnsafeBufferPointer { call(SYS_connect, fd, kernelAddress($0.baseAddress), $0.count) }
}

func bind(_ fd: Int, _ address: [UInt8]) -> Int {
  address.withUnsafeBufferPointer { call(SYS_bind, fd, kernelAddress($0.baseAddress), $0.count) }
}

func sendTo(_ fd: Int, _ bytes: [UInt8], _ address: [UInt8], flags: Int = 0) -> Int {
  address.withUnsafeBufferPointer { address in
    bytes.withUnsafeBufferPointer {
      call(
        SYS_sendto, fd, kernelAddress($0.baseAddress), $0.count, flags,
        kernelAddress(address.baseAddress),
        address.count)
    }
  }
}

/// sendmsg with the payload in pieces.
func sendMessage(
  _ fd: Int, _ pieces: [[UInt8]], to address: [UInt8] = [], control: [UInt8] = [], flags: Int = 0
) -> Int {
  let storage = pieces.map { piece in
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, piece.count))
    for (index, byte) in piece.enumerated() { copy[index] = byte }
    return copy
  }
  defer { for copy in storage { copy.deallocate() } }
  var parts = zip(storage, pieces).map { iovec(iov_base: $0.baseAddress, iov_len: $1.count) }
  var (address, control) = (address, control)
  return parts.withUnsafeMutableBufferPointer { parts in
    address.withUnsafeMutableBufferPointer { address in
      control.withUnsafeMutableBufferPointer { control in
        var message = msghdr(
          msg_name: address.isEmpty ? nil : UnsafeMutableRawPointer(address.baseAddress),
          msg_namelen: UInt32(address.count), msg_iov: parts.baseAddress, msg_iovlen: parts.count,
          msg_control: control.isEmpty ? nil : UnsafeMutableRawPointer(control.baseAddress),
          msg_controllen: control.count, msg_flags: 0)
        return withUnsafePointer(to: &message) { call(SYS_sendmsg, fd, kernelAddress($0), flags) }
      }
    }
  }
}

func receive(_ fd: Int, _ count: Int = 65536, flags: Int = Int(MSG_DONTWAIT)) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  let got = bytes.withUnsafeMutableBufferPointer {
    call(SYS_recvfrom, fd, kernelAddress($0.baseAddress), count, flags)
  }
  return got >= 0 ? Array(bytes.prefix(got)) : nil
}

func getsockname(_ fd: Int) -> [UInt8] { nameCall(SYS_getsockname, fd) }
func getpeername(_ fd: Int) -> [UInt8] { nameCall(SYS_getpeername, fd) }

private func nameCall(_ number: some BinaryInteger, _ fd: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 128)
  var length: UInt32 = 128
  let result = bytes.withUnsafeMutableBufferPointer { bytes in
    withUnsafeMutablePointer(to: &length) {
      call(number, fd, kernelAddress(bytes.baseAddress), kernelAddress($0))
    }
  }
  return result == 0 ? Array(bytes.prefix(Int(length))) : []
}

func socket(_ domain: Int32, _ type: Int32, _ proto: Int32 = 0) -> Int { makeSocket(domain, type, proto) }
func close(_ fd: Int) { closeDescriptor(Int32(fd)) }

func ipv4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, port: UInt16, family: UInt8 = 2) -> [UInt8] {
  [family, 0, UInt8(port >> 8), UInt8(port & 0xff), a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}
func loopback(_ port: UInt16) -> [UInt8] { ipv4(127, 0, 0, 1, port: port) }

func ipv6(_ address: [UInt8], port: UInt16) -> [UInt8] {
  [10, 0, UInt8(port >> 8), UInt8(port & 0xff), 0, 0, 0, 0] + [UInt8](repeating: 0, count: 16 - address.count)
    + address
    + [0, 0, 0, 0]
}

func unixPath(_ path: String) -> [UInt8] { [1, 0] + Array(path.utf8) + [0] }
func unixAbstract(_ name: [UInt8]) -> [UInt8] { [1, 0, 0] + name }
func port(of fd: Int) -> UInt16 {
  let name = getsockname(fd)
  return name.count > 3 ? UInt16(name[2]) << 8 | UInt16(name[3]) : 0
}

/// What a raw call returns that failed so.
func failed(_ errno: Int32) -> Int { -Int(errno) }

let tcp: Int32 = 1
let udp: Int32 = 2

/// A socket bound to a free port of 127.0.0.1; TCP ones listen.
func server(_ type: Int32, backlog: Int = 16) -> (fd: Int, port: UInt16) {
  let fd = socket(AF_INET, type)
  _ = bind(fd, loopback(0))
  if type == tcp { _ = call(SYS_listen, fd, backlog) }
  return (fd, port(of: fd))
}

/// Rules that allow these ports of the loopback address and deny all else.
func allowing(_ ports: UInt16...) -> PolicyRules {
  var rules = PolicyRules()
  var rule = NetworkRule(name: "loopback", decision: .allow)
  rule.ports = ports
  rule.ranges = [
    AddressRange(base: .v4(0x7f00_0000), bits: 8), AddressRange(base: .v6(high: 0, low: 1), bits: 128),
  ]
  rules.networkRules = [rule]
  return rules
}

/// A directory of the test's own, made anew.
func freshDirectory(_ name: String) -> String {
  let path = "/tmp/agentsh-socket-\(currentProcess())-\(name)"
  removeTree(path)
  _ = mkdirAt(-100, PathText(path), mode: 0o700)
  return path
}

func removeTree(_ path: String) {
  var entries: [String] = []
  if let directory = opendir(path) {
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { entries.append(name) }
    }
    closedir(directory)
  }
  for name in entries {
    if unlinkAt(-100, PathText(path + "/" + name), flags: 0) == failed(EISDIR) {
      removeTree(path + "/" + name)
    }
  }
  _ = unlinkAt(-100, PathText(path), flags: AT_REMOVEDIR)
}
