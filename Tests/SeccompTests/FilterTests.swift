import CLinux
import Seccomp
import Testing

private let features: [FilterFeatures] = [
  [], [.files], [.commands], [.sockets], [.processes], [.identities], [.signals], [.uniformThreads],
  [.userNamespaces],
  [.files, .commands, .sockets, .processes],
  [.files, .commands, .sockets, .processes, .identities, .signals, .uniformThreads, .userNamespaces],
]

@Suite("Filter")
struct FilterTests {
  @Test("names every call of the table once")
  func complete() {
    for set in features {
      #expect(SyscallTable.rules(set).map(\.number) == X86Call.allCases.map { UInt32($0.rawValue) })
    }
  }

  @Test("numbers are those of the kernel's headers")
  func numbers() {
    for (call, number) in [
      (X86Call.openat, SYS_openat), (.clone, SYS_clone), (.prctl, SYS_prctl), (.statx, SYS_statx),
      (.seccomp, SYS_seccomp), (.clone3, SYS_clone3), (.futex_waitv, SYS_futex_waitv), (.rseq, SYS_rseq),
      (.pidfd_send_signal, SYS_pidfd_send_signal), (.set_mempolicy_home_node, SYS_set_mempolicy_home_node),
      (.execveat, SYS_execveat), (.prlimit64, SYS_prlimit64),
    ] {
      #expect(call.rawValue == Int32(number))
    }
    #expect(X86Call.fchmodat2.rawValue == 452)
    #expect(X86Call.file_setattr.rawValue == 469)
  }

  @Test("says what the table says, for every number and any arguments", arguments: features)
  func agrees(set: FilterFeatures) throws {
    let rules = SyscallTable.rules(set)
    let interpreter = FilterInterpreter(program: try FilterProgram(rules).instructions)
    let byNumber = Dictionary(uniqueKeysWithValues: rules.map { ($0.number, $0) })
    var generator = Generator(state: 0x1234_5678 + UInt64(set.rawValue))
    for number in UInt32(0)..<600 {
      for _ in 0..<200 {
        let arguments = (0..<6).map { _ in generator.argument() }
        let expected = byNumber[number]?.action(for: arguments) ?? .refuse(UInt16(ENOSYS))
        let result = interpreter.run(number: number, architecture: FilterProgram.x86, arguments: arguments)
        guard result?.code == expected.code else {
          Issue.record("\(number) \(arguments): \(String(describing: result)), not \(expected)")
          return
        }
      }
    }
  }

  @Test("kills foreign architectures and x32, whatever the number; -1 is ENOSYS")
  func foreign() throws {
    let interpreter = FilterInterpreter(program: try FilterProgram(SyscallTable.rules([.files])).instructions)
    let none = [UInt64](repeating: 0, count: 6)
    for architecture: UInt32 in [0x4000_0003, 0xc000_00b7, 0, .max] {
      for number: UInt32 in [0, 1, 39, 257, .max] {
        let result = interpreter.run(number: number, architecture: architecture, arguments: none)
        #expect(result?.code == FilterAction.kill.code)
      }
    }
    for number: UInt32 in [0x4000_0000, 0x4000_0001, 0x4000_0208, 0x7fff_ffff, 0xffff_fffe] {
      let result = interpreter.run(number: number, architecture: FilterProgram.x86, arguments: none)
      #expect(result?.code == FilterAction.kill.code)
    }
    let result = interpreter.run(number: .max, architecture: FilterProgram.x86, arguments: none)
    #expect(result?.code == FilterAction.refuse(UInt16(ENOSYS)).code)
  }

  @Test("is small, and a call costs few instructions", arguments: features)
  func cost(set: FilterFeatures) throws {
    let program = try FilterProgram(SyscallTable.rules(set)).instructions
    let interpreter = FilterInterpreter(program: program)
    #expect(program.count <= 600)
    let none = [UInt64](repeating: 0, count: 6)
    for call in X86Call.allCases {
      let result = interpreter.run(
        number: UInt32(call.rawValue), architecture: FilterProgram.x86, arguments: none)
      #expect(try #require(result).executed <= 40)
    }
    for call in [X86Call.read, .write, .close, .futex, .openat, .execve, .fstat, .mmap] {
      let result = interpreter.run(
        number: UInt32(call.rawValue), architecture: FilterProgram.x86, arguments: none)
      #expect(try #require(result).executed <= 20)
    }
  }

  @Test("never notifies what must not wait: DECISIONS 20")
  func neverNotified() {
    let calls: [X86Call] = [
      .close, .read, .write, .fork, .vfork, .clone, .exit, .exit_group, .rt_sigreturn, .futex, .poll, .ppoll,
    ]
    for rule in SyscallTable.rules(FilterFeatures(rawValue: .max)) where calls.contains(rule.call) {
      #expect(rule.otherwise == .allow)
      #expect(rule.cases.allSatisfy { $0.action != .notify })
    }
  }

  @Test("too large a table is refused")
  func tooLarge() throws {
    #expect(FilterProgram.instructionLimit == 4096)
    #expect(try FilterProgram([]).instructions.count == 9)
  }
}

/// Values that tests ask for, their neighbours, and noise; the upper half sometimes set.
private struct Generator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 11
  }

  mutating func argument() -> UInt64 {
    let interesting: [UInt64] = [
      0, 1, 2, 3, 4, 5, 8, 10, 15, 16, 17, 29, 62, 132, 262, 0x80, 0x200, 0x400, 0x600, 0x10000, 0x1_0200,
      0x1_0600, 0x2_0000,
      0x1000_0000, 0x2000_0000, 0x4000_0000, 0x5412, 0x541c, 0xaa00, 0x8901, 0xffff_ffff, 0x80001, 0x80003,
    ]
    var value = next() % 4 == 0 ? next() : interesting[Int(next() % UInt64(interesting.count))]
    if next() % 4 == 0 { value |= next() << 32 }
    return value
  }
}
