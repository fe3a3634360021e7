import AgentshWire
import CLinux
import Foundation
import LinuxSystem
import Seccomp

/// A launcher that this process started, as the client does; this process is its supervisor.
final class LaunchedTree {
  struct Request {
    var words: [String]
    var plan: String? = LaunchedTree.plan().hex
    var environment: [String: String] = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
    var arguments: [String]?
    var uid: UInt32?
    var socketType: Int32 = 5
    var announceSocket = true
    /// Becomes descriptor 5 in the launcher.
    var extra: Int32?
    init(_ words: String...) { self.words = words }
  }

  let pid: Int32
  private let socket: FileDescriptor
  private let output: FileDescriptor
  private let errors: FileDescriptor
  private let log: FileDescriptor
  private(set) var status: Int32?

  static let everything = LaunchPlan.LandlockGrant(path: "/", access: .max)
  static let programs = ["/usr", "/bin", "/lib", "/lib64"].map {
    LaunchPlan.LandlockGrant(path: $0, access: 0b101)
  }

  static func plan(
    _ mediate: LaunchPlan.Mediation = [.files, .commands, .sockets, .processes],
    _ grants: [LaunchPlan.LandlockGrant] = [everything], allowDegraded: Bool = false, keep: UInt64 = 0
  ) -> LaunchPlan {
    LaunchPlan(mediate: mediate, landlock: grants, allowDegraded: allowDegraded, keepCapabilities: keep)
  }

  init(_ request: Request) throws {
    var pair: [Int32] = [0, 0]
    try check(
      "socketpair", Int(socketpair(AF_UNIX, request.socketType | 0o2000000, 0, &pair)) < 0 ? -Int(errno) : 0)
    let theirs = FileDescriptor(owning: pair[1])
    socket = FileDescriptor(owning: pair[0])
    let out = try Self.pipe()
    let err = try Self.pipe()
    let log = try Self.pipe()
    let null = FileDescriptor(
      owning: Int32(try check("open", rawCall(2, Self.null, Int(O_RDONLY | O_CLOEXEC)))))
    output = FileDescriptor(owning: out.read)
    errors = FileDescriptor(owning: err.read)
    self.log = FileDescriptor(owning: log.read)
    let ends = [out.write, err.write, log.write].map { WriteEnd($0) }
    // The optimiser ends an object's life after its last use, and only the numbers are used below.
    defer { withExtendedLifetime(ends) {} }
    var environment = request.environment
    if let plan = request.plan { environment[LauncherVariables.plan] = plan }
    if request.announceSocket { environment["AGENTSH_NOTIFY_SOCK_FD"] = "3" }
    environment["AGENTSH_WRAPPER_LOG_FD"] = "4"
    let descriptors =
      [null.number, ends[0].number, ends[1].number, theirs.number, ends[2].number]
      + (request.extra.map { [$0] } ?? [])
    pid = try Self.spawn(
      [Programs.launcher] + (request.arguments ?? ["--"] + request.words), environment, descriptors,
      uid: request.uid)
  }

  private final class WriteEnd {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { close(number) }
  }

  nonisolated(unsafe) private static let nullText = strdup("/dev/null")!
  private static var null: Int { kernelAddress(nullText) }

  private static func pipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    try check(
      "pipe2",
      ends.withUnsafeMutableBufferPointer { rawCall(293, kernelAddress($0.baseAddress), Int(O_CLOEXEC)) })
    return (ends[0], ends[1])
  }

  static func spawn(_ words: [String], _ environment: [String: String], _ fds: [Int32], uid: UInt32?) throws
    -> Int32
  {
    var argv = words.map { strdup($0) } + [nil]
    var envp = environment.map { strdup($0.key + "=" + $0.value) } + [nil]
    defer { (argv + envp).forEach { free($0) } }
    var handle: Int32 = -1
    var stage: Int32 = 0
    let result = argv.withUnsafeMutableBufferPointer { argv in
      envp.withUnsafeMutableBufferPointer { envp in
        fds.withUnsafeBufferPointer { fds in
          var request = clinux_spawn()
          request.path = UnsafePointer(argv[0])
          request.argv = UnsafePointer(argv.baseAddress)
          request.envp = UnsafePointer(envp.baseAddress)
          request.fds = fds.baseAddress
          request.fd_count = Int32(fds.count)
          if let uid {
            request.set_ids = 1
            request.uid = uid
            request.gid = uid
          }
          return clinux_spawn(&request, &handle, &stage)
        }
      }
    }
    let pid = try check("clone", result)
    close(handle)
    return Int32(pid)
  }

  func listener() throws -> Listener {
    guard let listener = receiveListener() else { throw NoListener(log: logText) }
    return listener
  }

  struct NoListener: Error { let log: String }

  /// The listener that the launcher's helper sends; nil when the launcher ends without.
  func receiveListener() -> Listener? {
    var byte: UInt8 = 0xff
    var fds: [Int32] = [-1, -1]
    var count: Int32 = 0
    var truncated: Int32 = 0
    let received = clinux_receive_fds(socket.number, &byte, 1, &fds, 2, &count, &truncated)
    guard received == 1, byte == 0, count == 1, truncated == 0 else { return nil }
    return Listener(owning: FileDescriptor(owning: fds[0]))
  }

  func say(_ byte: UInt8) {
    var byte = byte
    send(socket.number, &byte, 1, Int32(MSG_NOSIGNAL))
  }

  func hangUp() { shutdown(socket.number, Int32(SHUT_RDWR)) }

  /// Lets the command run and answers its calls until nobody of the tree is left. The handler answers by consuming.
  func supervise(_ listener: borrowing Listener, _ handler: (consuming PendingNotification) -> Void) {
    say(1)
    answer(listener, handler)
  }

  func answer(_ listener: borrowing Listener, _ handler: (consuming PendingNotification) -> Void) {
    let deadline = Date().addingTimeInterval(30)
    while Date() < deadline {
      var entry = pollfd(fd: listener.descriptor.number, events: Int16(POLLIN), revents: 0)
      if poll(&entry, 1, 1000) <= 0 { continue }
      if entry.revents & Int16(POLLIN) == 0 { return }
      switch listener.receive() {
      case .notification(let notification): handler(notification)
      case .nothing: continue
      case .closed: return
      }
    }
    kill(pid, SIGKILL)
  }

  /// The launcher's or the command's end: an exit code, or 128 and the signal.
  @discardableResult
  func wait() -> Int32 {
    if let status { return status }
    var raw: Int32 = 0
    while waitpid(pid, &raw, 0) < 0, errno == EINTR {}
    let code = clinux_wifexited(raw) != 0 ? clinux_wexitstatus(raw) : 128 + clinux_wtermsig(raw)
    status = code
    return code
  }

  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      wait()
    }
  }

  /// What came out; to be asked when the tree is gone.
  var outputText: String { Self.drain(output.number) }
  var errorText: String { Self.drain(errors.number) }
  var logText: String { Self.drain(log.number) }

  private static func drain(_ number: Int32) -> String {
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(number, &part, part.count)
      if count <= 0 { return String(decoding: text, as: UTF8.self) }
      text += part[..<count]
    }
  }

  /// Runs it to its end with every call let through, which the floor still bounds.
  static func run(
    _ request: Request, _ handler: (consuming PendingNotification) -> Void = { _ = $0.passThrough() }
  ) throws -> LaunchedTree {
    let tree = try LaunchedTree(request)
    if let listener = tree.receiveListener() { tree.supervise(listener, handler) }
    tree.wait()
    return tree
  }
}

/// The NUL-terminated text at an address of another process. `process_vm_readv(2)`
func readText(_ thread: Int32, _ address: UInt64) -> String? {
  var bytes = [UInt8](repeating: 0, count: 4096)
  // Up to the end of the page, beyond which nothing may be mapped.
  let length = min(bytes.count, 4096 - Int(address % 4096))
  let count = bytes.withUnsafeMutableBytes { buffer in
    var local = iovec(iov_base: buffer.baseAddress, iov_len: length)
    var remote = iovec(iov_base: UnsafeMutableRawPointer(bitPattern: UInt(address)), iov_len: length)
    return withUnsafePointer(to: &local) { local in
      withUnsafePointer(to: &remote) { remote in
        rawCall(310, Int(thread), kernelAddress(local), 1, kernelAddress(remote), 1)
      }
    }
  }
  guard count > 0, let end = bytes[..<count].firstIndex(of: 0) else { return nil }
  return String(decoding: bytes[..<end], as: UTF8.self)
}
