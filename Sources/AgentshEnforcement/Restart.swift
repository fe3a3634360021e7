import AgentshWire
import CLinux
import LinuxSystem
import Ptrace

/// An agent that was started unsupervised begins again in the same process, as the launcher of the command that was
/// announced: what runs from then on was decided, and has no_new_privs, Landlock and the filter like any other. What it did
/// before is done, and is done again.
struct Restart {
  /// Our end of the launcher's socket, and the file that it writes its diagnostics to. Open until we end.
  let socket: Int32
  let log: Int32

  private static let environmentLimit = 4 << 20
  private static let pageSize = 4096

  /// Returns when the launcher is in place, and waits for its word. If this throws, the process is dead or dying.
  init(_ plan: RestartPlan, target: Int32, pidfd: Int32) throws(SystemCallError) {
    do throws(SystemCallError) {
      // The daemon has stopped all of it; the first thread alone goes on, as it is told to.
      Self.endChildren(of: target)
      let stopped = try StoppedProcess.stop(target, pidfd: pidfd)
      let inherited = try readAll("/proc/\(target)/environ", limit: Self.environmentLimit).get()
      try Self.awaitChildren(of: stopped)
      let page = try Self.map(Self.pageSize, in: stopped)
      // AF_UNIX, SOCK_SEQPACKET
      _ = try stopped.call("socketpair", Int(SYS_socketpair), [1, 5, 0, page, 0, 0])
      let ends = try Self.numbers(at: page, in: target)
      // The page's rest is zero: no name.
      let file = try stopped.call("memfd_create", Int(SYS_memfd_create), [page + 8, 0, 0, 0, 0, 0])
      socket = Int32(try check("pidfd_getfd", takeDescriptor(pidfd, ends[0])))
      log = Int32(try check("pidfd_getfd", takeDescriptor(pidfd, Int32(truncatingIfNeeded: file))))
      // The launcher is to hear it when we end.
      _ = try stopped.call("close", Int(SYS_close), [UInt64(ends[0]), 0, 0, 0, 0, 0])
      let image = NewImage(plan, inherited, socket: ends[1], log: file)
      let place = try Self.map(image.size, in: stopped)
      let memory = image.memory(at: place)
      // SAFETY: the bytes live across the call.
      let written = unsafe memory.bytes.withUnsafeBufferPointer {
        writeProcessMemory(target, at: place, from: kernelAddress($0.baseAddress), count: $0.count)
      }
      try check("process_vm_writev", written)
      try stopped.execute(
        path: memory.path, arguments: memory.arguments, environment: memory.environment,
        isRight: { image.isIn(target) })
    } catch {
      sendSignal(pidfd, SIGKILL)
      throw error
    }
  }

  /// What it has started, with the rights of its owner. They are held first, so that nobody makes more, or loses the parent
  /// that it is found by.
  private static func endChildren(of process: Int32) {
    let below = Tree(roots: [process], own: process)
    var held: Set<Int32> = []
    for _ in 0..<20 {
      let new = Set(below.members().found).subtracting(held)
      if new.isEmpty { break }
      for pid in new { sendSignal(toPid: pid, SIGSTOP) }
      held.formUnion(new)
    }
    for pid in held { sendSignal(toPid: pid, SIGKILL) }
  }

  /// They are being killed; none is left that could act on what is made here. `wait4(2)`, __WALL
  private static func awaitChildren(of stopped: borrowing StoppedProcess) throws(SystemCallError) {
    while true {
      do throws(SystemCallError) {
        _ = try stopped.call("wait4", Int(SYS_wait4), [.max, 0, 0x4000_0000, 0, 0, 0])
      } catch {
        if error == SystemCallError("wait4", ECHILD) { return }
        throw error
      }
    }
  }

  /// PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
  private static func map(
    _ size: Int, in stopped: borrowing StoppedProcess
  ) throws(SystemCallError) -> UInt64 {
    try stopped.call("mmap", Int(SYS_mmap), [0, UInt64(size), 3, 0x22, .max, 0])
  }

  private static func numbers(
    at address: UInt64, in process: Int32
  ) throws(SystemCallError) -> InlineArray<2, Int32> {
    var numbers = InlineArray<2, Int32>(repeating: -1)
    // SAFETY: eight bytes of ours, alive across the call.
    let read = unsafe withUnsafeMutablePointer(to: &numbers) {
      readProcessMemory(process, at: address, into: kernelAddress($0), count: 8)
    }
    try check("process_vm_readv", read)
    guard read == 8, numbers[0] >= 0, numbers[1] >= 0 else { throw SystemCallError("socketpair", EFAULT) }
    return numbers
  }
}

/// What execve(2) is to make of a process.
private struct NewImage {
  private let launcher: String
  private let arguments: [[UInt8]]
  private let environment: [[UInt8]]

  init(_ plan: RestartPlan, _ inherited: [UInt8], socket: Int32, log: UInt64) {
    launcher = plan.launcher
    arguments = ([plan.launcher, "--"] + plan.command).map { Array($0.utf8) }
    // The launcher takes the first of a name, and hands on none of its own.
    let own = [
      "\(LauncherVariables.plan)=\(plan.plan)", "\(LauncherVariables.socket)=\(socket)",
      "\(LauncherVariables.log)=\(log)", "\(LauncherVariables.kept)=",
    ]
    environment = own.map { Array($0.utf8) } + inherited.split(separator: 0).map { Array($0) }
  }

  private var strings: [[UInt8]] { [Array(launcher.utf8)] + arguments + environment }
  private var listSize: Int { (arguments.count + environment.count + 2) * 8 }
  /// Bytes that `memory` takes.
  var size: Int { listSize + strings.reduce(0) { $0 + $1.count + 1 } }

  /// The two lists of pointers, each with a zero at its end, then the strings.
  func memory(
    at base: UInt64
  ) -> (bytes: [UInt8], path: UInt64, arguments: UInt64, environment: UInt64) {
    var memory = WireWriter()
    memory.reserve(size)
    var next = base + UInt64(listSize)
    let path = next
    next += UInt64(launcher.utf8.count + 1)
    for list in [arguments, environment] {
      for string in list {
        memory.integer(next)
        next += UInt64(string.count + 1)
      }
      memory.integer(UInt64(0))
    }
    for string in strings { memory.append(string + [0]) }
    return (memory.bytes, path, base, base + UInt64((arguments.count + 1) * 8))
  }

  /// Whether a process that has run nothing of its image yet has this one: the file, the arguments, the environment. Another
  /// thread could change what execve read; what it made of that is the process's own.
  func isIn(_ process: Int32) -> Bool {
    var (meant, found) = (stat(), stat())
    guard statAt(-1, PathText(launcher), &meant, flags: 0) == 0,
      statAt(-1, PathText("/proc/\(process)/exe"), &found, flags: 0) == 0,
      meant.st_dev == found.st_dev, meant.st_ino == found.st_ino
    else { return false }
    return holds(arguments, "/proc/\(process)/cmdline") && holds(environment, "/proc/\(process)/environ")
  }

  private func holds(_ strings: [[UInt8]], _ path: String) -> Bool {
    let expected = strings.reduce(into: []) { $0 += $1 + [0] }
    guard case .success(let bytes) = readAll(path, limit: expected.count) else { return false }
    return bytes == expected
  }
}
