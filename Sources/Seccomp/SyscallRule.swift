/// What the filter does with a call.
///
/// `seccomp(2)`, return values of a filter.
package enum FilterAction: Hashable, Sendable {
  case allow
  /// The caller waits for the supervisor's answer. `seccomp_unotify(2)`
  case notify
  /// The caller stops for its tracer; without one the call is ENOSYS. `ptrace(2)`, PTRACE_EVENT_SECCOMP
  case trace
  /// The call returns `-errno` without effect; 0 is success without effect.
  case refuse(UInt16)
  /// The whole process ends with SIGSYS.
  case kill

  /// The filter's return value.
  package var code: UInt32 {
    switch self {
    case .allow: 0x7fff_0000
    case .notify: 0x7fc0_0000
    case .trace: 0x7ff0_0000
    case .refuse(let errno): 0x0005_0000 | UInt32(errno)
    case .kill: 0x8000_0000
    }
  }
}

/// A question about one register. Registers that the kernel reads as 32 bits are asked by their low half alone, as a
/// caller may put anything in the other.
package struct ArgumentTest: Hashable, Sendable {
  package enum Question: Hashable, Sendable {
    /// The low half, masked, is one of these.
    case oneOf([UInt32], mask: UInt32)
    /// The low half, masked, is none of these.
    case noneOf([UInt32], mask: UInt32)
    /// The low half has one of these bits.
    case anyBit(UInt32)
    /// All 64 bits together are one of these.
    case wideOneOf([UInt32])
  }
  /// 0 to 5.
  package let argument: Int
  package let question: Question

  /// Whether the register's value answers the question with yes: the reference for the compiled filter.
  package func holds(_ arguments: [UInt64]) -> Bool {
    let value = arguments[argument]
    let low = UInt32(truncatingIfNeeded: value)
    return switch question {
    case .oneOf(let values, let mask): values.contains(low & mask)
    case .noneOf(let values, let mask): !values.contains(low & mask)
    case .anyBit(let bits): low & bits != 0
    case .wideOneOf(let values): values.contains { UInt64($0) == value }
    }
  }
}

extension ArgumentTest {
  static func isOne(_ argument: Int, of values: [UInt32], mask: UInt32 = .max) -> Self {
    Self(argument: argument, question: .oneOf(values, mask: mask))
  }
  static func isNone(_ argument: Int, of values: [UInt32], mask: UInt32 = .max) -> Self {
    Self(argument: argument, question: .noneOf(values, mask: mask))
  }
  static func hasBit(_ argument: Int, of bits: UInt32) -> Self {
    Self(argument: argument, question: .anyBit(bits))
  }
  /// For pointers and other whole registers.
  static func isWide(_ argument: Int, _ values: UInt32...) -> Self {
    Self(argument: argument, question: .wideOneOf(values))
  }
}

/// What happens to one system call: the first case whose tests all hold, else `otherwise`.
package struct SyscallRule: Sendable {
  package struct Case: Hashable, Sendable {
    package let tests: [ArgumentTest]
    package let action: FilterAction
    init(_ action: FilterAction, when tests: ArgumentTest...) { self.init(action, tests: tests) }
    init(_ action: FilterAction, tests: [ArgumentTest]) {
      self.tests = tests
      self.action = action
    }
  }
  package let call: X86Call
  package let cases: [Case]
  package let otherwise: FilterAction
  /// Who needs it, or what it would give away.
  package let why: StaticString

  init(_ call: X86Call, _ action: FilterAction, why: StaticString) { self.init(call, [], action, why: why) }

  init(_ call: X86Call, _ cases: [Case], _ otherwise: FilterAction, why: StaticString) {
    self.call = call
    self.cases = cases
    self.otherwise = otherwise
    self.why = why
  }

  /// The same for a filter without a listener: what would be notified is traced.
  func traced() -> SyscallRule {
    func traced(_ action: FilterAction) -> FilterAction { action == .notify ? .trace : action }
    return SyscallRule(
      call, cases.map { Case(traced($0.action), tests: $0.tests) }, traced(otherwise), why: why)
  }

  package var number: UInt32 { UInt32(call.rawValue) }
  /// The kernel's name.
  package var name: String { "\(call)" }

  /// What the filter must answer for these six registers: the reference for the compiled filter.
  package func action(for arguments: [UInt64]) -> FilterAction {
    cases.first { $0.tests.allSatisfy { $0.holds(arguments) } }?.action ?? otherwise
  }
}
