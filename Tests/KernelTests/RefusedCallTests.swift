import CLinux
import Foundation
import LinuxSystem
import Seccomp
import Testing

/// The filter in the kernel does what the table says.
@Suite("Refused calls", .serialized)
struct RefusedCallTests {
  /// Runs under the filter without a listener, as an unprivileged program of the tree would.
  private func filtered<T>(_ features: FilterFeatures = [], _ body: @escaping () throws -> T) throws -> T {
    let program = try FilterProgram(SyscallTable.rules(features))
    return try onThread {
      try check("prctl", rawCall(Int(SYS_prctl), 38, 1))
      try program.installSilent()
      return try body()
    }
  }

  @Test("every call that is refused outright gets its errno from the kernel")
  func outright() throws {
    let rules = SyscallTable.rules([]).filter { $0.cases.isEmpty }
    let refused = rules.compactMap { rule -> (SyscallRule, UInt16)? in
      if case .refuse(let errno) = rule.otherwise { (rule, errno) } else { nil }
    }
    #expect(refused.count > 80)
    let results = try filtered { refused.map { rawCall(Int($0.0.number), 0, 0, 0, 0, 0, 0) } }
    for ((rule, errno), result) in zip(refused, results) {
      #expect(result == -Int(errno), "\(rule.name)")
    }
  }

  @Test("numbers that nobody knows are ENOSYS, -1 too")
  func unknown() throws {
    let numbers = [336 + 1, 400, 471, 512, 547, 599, 1000, 0x3fff_ffff, -1]
    let results = try filtered { numbers.map { rawCall($0) } }
    #expect(results.allSatisfy { $0 == -Int(ENOSYS) })
  }

  @Test(
    "calls that are asked about are ENOSYS without a listener, and without a tracer",
    arguments: [false, true])
  func asked(traced: Bool) throws {
    var everything = FilterFeatures(rawValue: .max)
    if !traced { everything.remove(.traced) }
    let action: FilterAction = traced ? .trace : .notify
    let rules = SyscallTable.rules(everything).filter { $0.cases.isEmpty && $0.otherwise == action }
    #expect(rules.count > 45)
    let results = try filtered(everything) { rules.map { rawCall(Int($0.number)) } }
    #expect(results.allSatisfy { $0 == -Int(ENOSYS) })
  }

  private struct Example {
    let call: X86Call
    let arguments: [Int]
    let expected: Int32
    init(_ call: X86Call, _ arguments: Int..., gives expected: Int32) {
      self.call = call
      self.arguments = arguments + Array(repeating: 0, count: 6 - arguments.count)
      self.expected = expected
    }
  }

  /// High halves are set where the kernel reads 32 bits.
  private let byArgument: [Example] = [
    Example(.unshare, 0x1000_0000, gives: EPERM), Example(.unshare, 0x80, gives: EPERM),
    Example(.clone, 0x1000_0011, gives: EPERM), Example(.clone, 0x4000_0011, gives: EPERM),
    Example(.personality, 0x040_0000, gives: EPERM), Example(.personality, 0x1_0004_0000, gives: EPERM),
    Example(.ioctl, 0, 0x5412, gives: EPERM), Example(.ioctl, 0, 0x1_0000_5412, gives: EPERM),
    Example(.ioctl, 0, 0x541c, gives: EPERM), Example(.ioctl, -1, 0xaa00, gives: EPERM),
    Example(.socket, 38, 5, gives: EAFNOSUPPORT), Example(.socket, 40, 1, gives: EAFNOSUPPORT),
    Example(.socket, 0x1_0000_0028, 1, gives: EAFNOSUPPORT), Example(.socket, 21, 5, gives: EAFNOSUPPORT),
    Example(.socket, 30, 1, gives: EAFNOSUPPORT), Example(.socket, 43, 1, gives: EAFNOSUPPORT),
    Example(.socket, 44, 3, gives: EAFNOSUPPORT), Example(.socket, 29, 3, gives: EAFNOSUPPORT),
    Example(.socket, 17, 3, gives: EPERM), Example(.socket, 2, 3, 1, gives: EPERM),
    Example(.socket, 2, 0x80003, 1, gives: EPERM), Example(.socket, 10, 3, 58, gives: EPERM),
    Example(.socket, 2, 10, gives: EPERM), Example(.socket, 2, 5, gives: ESOCKTNOSUPPORT),
    Example(.socket, 2, 1, 132, gives: EPROTONOSUPPORT), Example(.socket, 2, 1, 262, gives: EPROTONOSUPPORT),
    Example(.socketpair, 30, 1, gives: EAFNOSUPPORT),
    Example(.sendto, -1, 0, 0, 0x2000_0000, 1, gives: EOPNOTSUPP),
    Example(.sendmsg, -1, 0, 0x2000_0000, gives: EOPNOTSUPP),
    Example(.sendmmsg, -1, 0, 0, 0x2000_0000, gives: EOPNOTSUPP),
    Example(.prlimit64, 1, 7, gives: EPERM), Example(.setpriority, 1, 0, 0, gives: EPERM),
    Example(.ioprio_set, 2, 0, 0, gives: EPERM), Example(.sched_setaffinity, 1, 0, 0, gives: EPERM),
    Example(.get_robust_list, 1, gives: EPERM), Example(.prctl, 62, 0, 1, gives: EINVAL),
    Example(.process_madvise, -10000, gives: EPERM),
    // And what passes comes to the kernel's own answer.
    Example(.unshare, 0, gives: 0), Example(.unshare, 0x600, gives: 0),
    Example(.ioctl, -1, 0x5401, gives: EBADF),
    Example(.sendto, -1, 0, 0, 0, 0, gives: EBADF), Example(.utimensat, -1, 0, 0, 0, gives: EBADF),
    Example(.prlimit64, 0, 7, gives: 0), Example(.sched_setaffinity, 0, 0, 0, gives: EINVAL),
    Example(.prctl, 4, 7, gives: EINVAL), Example(.personality, 0xffff_ffff, gives: 0),
  ]

  @Test("calls that one argument decides")
  func arguments() throws {
    let examples = byArgument
    let results = try filtered {
      examples.map { example in
        let a = example.arguments
        return rawCall(Int(example.call.rawValue), a[0], a[1], a[2], a[3], a[4], a[5])
      }
    }
    for (example, result) in zip(examples, results) {
      #expect(result == -Int(example.expected), "\(example.call) \(example.arguments)")
    }
  }

  @Test("PR_SET_DUMPABLE succeeds and has no effect")
  func dumpable() throws {
    let before = rawCall(Int(SYS_prctl), 3)
    let results = try filtered { [rawCall(Int(SYS_prctl), 4, 0), rawCall(Int(SYS_prctl), 3)] }
    #expect(results == [0, before])
  }

  @Test("sockets of every day are there")
  func everyday() throws {
    let made = try filtered {
      [(1, 1, 0), (1, 5, 0), (2, 1, 0), (2, 2, 0), (10, 1, 6), (10, 2, 17), (16, 3, 0), (2, 0x80801, 0)].map {
        rawCall(Int(SYS_socket), $0.0, $0.1, $0.2)
      }
    }
    for descriptor in made {
      #expect(descriptor >= 0)
      close(Int32(descriptor))
    }
  }

  @Test("without PIDFD_THREAD, threads keep their process's directory and descriptors")
  func uniform() throws {
    let results = try filtered([.uniformThreads]) {
      [
        rawCall(Int(SYS_unshare), 0x400), rawCall(Int(SYS_unshare), 0x200),
        rawCall(Int(SYS_clone), 0x0001_0000 | 0x800 | 0x100 | 0x200),
        rawCall(Int(SYS_clone), 0x0001_0000 | 0x800 | 0x100),
      ]
    }
    #expect(results.allSatisfy { $0 == -Int(EPERM) })
  }

  @Test("where rules tell depths apart, nobody gets another parent")
  func depths() throws {
    // CLONE_PARENT, in a combination that the kernel refuses for itself.
    let calls = { [rawCall(Int(SYS_prctl), 36, 0), rawCall(Int(SYS_clone), 0x8000 | 0x800)] }
    #expect(try filtered([.depths], calls) == [-Int(EPERM), -Int(EPERM)])
    #expect(try filtered([], calls) == [0, -Int(EINVAL)])
  }

  @Test("an x32 call ends the process")
  func x32() async throws {
    await #expect(processExitsWith: .signal(SIGSYS)) {
      try restrictThisThread()
      rawCall(0x4000_0000 | 39)
    }
  }

  @Test("a call of the 32-bit architecture ends the process")
  func foreignArchitecture() async throws {
    await #expect(processExitsWith: .signal(SIGSYS)) {
      // mov eax, 20 (getpid); int 0x80; ret
      let code: [UInt8] = [0xb8, 0x14, 0, 0, 0, 0xcd, 0x80, 0xc3]
      let page = mmap(nil, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
      page.copyMemory(from: code, byteCount: code.count)
      try restrictThisThread()
      unsafeBitCast(page, to: (@convention(c) () -> Void).self)()
    }
  }
}

private func restrictThisThread() throws {
  var core = rlimit(rlim_cur: 0, rlim_max: 0)
  withUnsafePointer(to: &core) { _ = rawCall(Int(SYS_prlimit64), 0, 4, kernelAddress($0), 0) }
  try check("prctl", rawCall(Int(SYS_prctl), 38, 1))
  try FilterProgram(SyscallTable.rules([])).installSilent()
}
