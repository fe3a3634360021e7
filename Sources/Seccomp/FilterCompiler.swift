import CLinux

/// Makes a filter of a table: a balanced tree over the numbers, with a call's own tests at its leaf. A call costs about
/// nine comparisons, and none where the kernel finds out beforehand that it is always allowed (Linux 5.11).
///
/// `Documentation/networking/filter.rst`.
struct FilterCompiler {
  /// Numbers from `first` to the next leaf's that are treated alike.
  private struct Leaf {
    let first: UInt32
    let cases: [SyscallRule.Case]
    let otherwise: FilterAction
  }

  mutating func compile(_ rules: [SyscallRule], architecture: UInt32) throws(FilterTooLong) -> [sock_filter] {
    let prologue: [sock_filter] = [
      load(Offset.architecture),
      jump(.equal, architecture, yes: 1, no: 0),
      give(.kill),
      load(Offset.number),
      jump(.equal, .max, yes: 0, no: 1),
      give(.refuse(UInt16(ENOSYS))),
      jump(.anyBit, FilterProgram.x32Bit, yes: 0, no: 1),
      give(.kill),
    ]
    let leaves = leaves(rules)
    return prologue + (try tree(leaves[...]))
  }

  /// Runs of neighbouring numbers with one treatment, gaps included.
  private func leaves(_ rules: [SyscallRule]) -> [Leaf] {
    let unknown = FilterAction.refuse(UInt16(ENOSYS))
    var leaves: [Leaf] = []
    var next: UInt32 = 0
    func add(_ leaf: Leaf) {
      if let last = leaves.last, last.cases == leaf.cases, last.otherwise == leaf.otherwise { return }
      leaves.append(leaf)
    }
    for rule in rules {
      if rule.number > next { add(Leaf(first: next, cases: [], otherwise: unknown)) }
      add(Leaf(first: rule.number, cases: rule.cases, otherwise: rule.otherwise))
      next = rule.number + 1
    }
    add(Leaf(first: next, cases: [], otherwise: unknown))
    return leaves
  }

  /// The number is in the accumulator; every way out is a return.
  private func tree(_ leaves: ArraySlice<Leaf>) throws(FilterTooLong) -> [sock_filter] {
    guard leaves.count > 1 else {
      guard let leaf = leaves.first else { return [give(.refuse(UInt16(ENOSYS)))] }
      return try body(leaf)
    }
    let middle = leaves.startIndex + leaves.count / 2
    let low = try tree(leaves[..<middle])
    let high = try tree(leaves[middle...])
    let pivot = leaves[middle].first
    // A conditional jump reaches 255 instructions, an unconditional one everything.
    if let near = UInt8(exactly: low.count) { return [jump(.atLeast, pivot, yes: near, no: 0)] + low + high }
    return [jump(.atLeast, pivot, yes: 0, no: 1), jumpAlways(UInt32(low.count))] + low + high
  }

  private func body(_ leaf: Leaf) throws(FilterTooLong) -> [sock_filter] {
    var code: [sock_filter] = []
    for one in leaf.cases {
      // From the last test to the first, so that each knows how far it is to the next case.
      var block = [give(one.action)]
      for test in one.tests.reversed() { block = try compile(test, skip: block.count) + block }
      code += block
    }
    return code + [give(leaf.otherwise)]
  }

  /// Falls through when the test holds, else jumps over `skip` instructions.
  private func compile(_ test: ArgumentTest, skip: Int) throws(FilterTooLong) -> [sock_filter] {
    let low = Offset.argument(test.argument)
    switch test.question {
    case .oneOf(let values, let mask):
      return [load(low)] + masked(mask) + (try equalsAny(values, yes: 0, no: skip))
    case .noneOf(let values, let mask):
      return [load(low)] + masked(mask) + (try equalsAny(values, yes: skip, no: 0))
    case .anyBit(let bits):
      return [load(low), jump(.anyBit, bits, yes: 0, no: try near(skip))]
    case .wideOneOf(let values):
      let chain = [load(low)] + (try equalsAny(values, yes: 0, no: skip))
      return [load(low + 4), jump(.equal, 0, yes: 0, no: try near(chain.count + skip))] + chain
    }
  }

  /// Jumps `yes` or `no` instructions beyond its own end.
  private func equalsAny(_ values: [UInt32], yes: Int, no: Int) throws(FilterTooLong) -> [sock_filter] {
    var code: [sock_filter] = []
    for (index, value) in values.enumerated() {
      let rest = values.count - 1 - index
      code.append(jump(.equal, value, yes: try near(rest + yes), no: rest == 0 ? try near(no) : 0))
    }
    return code
  }

  private func masked(_ mask: UInt32) -> [sock_filter] {
    mask == .max ? [] : [sock_filter(code: UInt16(BPF_ALU | BPF_AND | BPF_K), jt: 0, jf: 0, k: mask)]
  }

  private func near(_ distance: Int) throws(FilterTooLong) -> UInt8 {
    guard let near = UInt8(exactly: distance) else { throw FilterTooLong() }
    return near
  }
}

/// Offsets in `struct seccomp_data`, little-endian.
private enum Offset {
  static let number: UInt32 = 0
  static let architecture: UInt32 = 4
  static func argument(_ index: Int) -> UInt32 { 16 + 8 * UInt32(index) }
}

private enum Comparison {
  case equal, atLeast, anyBit
  var code: Int32 {
    switch self {
    case .equal: BPF_JEQ
    case .atLeast: BPF_JGE
    case .anyBit: BPF_JSET
    }
  }
}

private func load(_ offset: UInt32) -> sock_filter {
  sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: offset)
}
private func jump(_ comparison: Comparison, _ value: UInt32, yes: UInt8, no: UInt8) -> sock_filter {
  sock_filter(code: UInt16(BPF_JMP | BPF_K | comparison.code), jt: yes, jf: no, k: value)
}
private func jumpAlways(_ distance: UInt32) -> sock_filter {
  sock_filter(code: UInt16(BPF_JMP | BPF_JA), jt: 0, jf: 0, k: distance)
}
private func give(_ action: FilterAction) -> sock_filter {
  sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: action.code)
}
