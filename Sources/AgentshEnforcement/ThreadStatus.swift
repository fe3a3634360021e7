import CLinux
import LinuxSystem

/// What /proc/TID/status says of one thread, read at once. `proc_pid_status(5)`.
package struct ThreadStatus: Sendable {
  package var process: Int32 = 0
  package var parent: Int32 = 0
  package var threads: Int32 = 0
  /// The thread that traces it; 0: none.
  package var tracer: Int32 = 0
  package var mask: UInt32 = 0o022
  package var fsUID: UInt32 = .max
  package var fsGID: UInt32 = .max
  package var realUID: UInt32 = .max
  package var realGID: UInt32 = .max
  package var effectiveUID: UInt32 = .max
  package var groups: [UInt32] = []
  /// The process's number in our pid namespace, and in each that was made below it; its own is the last.
  package var numbers: [UInt32] = []
  package var pending: UInt64 = 0
  package var sharedPending: UInt64 = 0
  package var blocked: UInt64 = 0
  package var ignored: UInt64 = 0
  package var caught: UInt64 = 0
  /// Effective, in its own user namespace.
  package var capabilities: UInt64 = 0
  package var command: [UInt8] = []

  /// nil when the thread is gone or the text is not as expected.
  package init?(reading thread: Int32) {
    var text = InlineArray<4096, UInt8>(repeating: 0)
    let count = ProcPath(thread, "status").read(into: &text)
    guard count > 0, count < 4096 else { return nil }  // what was cut could say something else
    StatusText(text.span.extracting(0..<count)).forEachField { field in take(field) }
    guard process > 0, fsUID != .max, fsGID != .max else { return nil }
  }

  /// Only the umask, for calls that create. nil when the thread is gone.
  package static func mask(of thread: Int32) -> UInt32? {
    var text = InlineArray<4096, UInt8>(repeating: 0)
    let count = ProcPath(thread, "status").read(into: &text)
    guard count > 0, count < 4096 else { return nil }  // what was cut could say something else
    var mask: UInt32?
    StatusText(text.span.extracting(0..<count)).forEachField { field in
      guard field.named("Umask") else { return true }
      mask = UInt32(truncatingIfNeeded: field.number(base: 8))
      return false
    }
    return mask
  }

  /// True: more is wanted.
  private mutating func take(_ field: borrowing StatusField) -> Bool {
    if field.named("Name") {
      command = field.bytes
    } else if field.named("Umask") {
      mask = UInt32(truncatingIfNeeded: field.number(base: 8))
    } else if field.named("Tgid") {
      process = Int32(truncatingIfNeeded: field.number(base: 10))
    } else if field.named("TracerPid") {
      tracer = Int32(truncatingIfNeeded: field.number(base: 10))
    } else if field.named("PPid") {
      parent = Int32(truncatingIfNeeded: field.number(base: 10))
    } else if field.named("Uid") {
      let ids = field.numbers
      if ids.count == 4 { (realUID, effectiveUID, fsUID) = (ids[0], ids[1], ids[3]) }
    } else if field.named("Gid") {
      let ids = field.numbers
      if ids.count == 4 { (realGID, fsGID) = (ids[0], ids[3]) }
    } else if field.named("Groups") {
      groups = field.numbers
    } else if field.named("NStgid") {
      numbers = field.numbers
    } else if field.named("Threads") {
      threads = Int32(truncatingIfNeeded: field.number(base: 10))
    } else if field.named("SigPnd") {
      pending = field.number(base: 16)
    } else if field.named("ShdPnd") {
      sharedPending = field.number(base: 16)
    } else if field.named("SigBlk") {
      blocked = field.number(base: 16)
    } else if field.named("SigIgn") {
      ignored = field.number(base: 16)
    } else if field.named("SigCgt") {
      caught = field.number(base: 16)
    } else if field.named("CapEff") {
      capabilities = field.number(base: 16)
      return false  // nothing behind it is asked for
    }
    return true
  }
}

/// The text of a status file: `Name:\tvalue` lines.
private struct StatusText: ~Escapable {
  private let text: Span<UInt8>

  @_lifetime(copy text)
  init(_ text: Span<UInt8>) { self.text = text }

  /// Calls `body` with each line until it returns false.
  func forEachField(_ body: (borrowing StatusField) -> Bool) {
    var start = 0
    while start < text.count {
      var colon = start
      while colon < text.count, text[colon] != UInt8(ascii: ":") { colon += 1 }
      var end = colon
      while end < text.count, text[end] != 10 { end += 1 }
      if colon < end {
        let field = StatusField(text: text, name: start..<colon, value: (colon + 1)..<end)
        if !body(field) { return }
      }
      start = end + 1
    }
  }
}

/// One line of a status file.
private struct StatusField: ~Escapable {
  private let text: Span<UInt8>
  private let name: Range<Int>
  private let value: Range<Int>

  @_lifetime(copy text)
  init(text: Span<UInt8>, name: Range<Int>, value: Range<Int>) {
    self.text = text
    self.name = name
    self.value = value
  }

  @inline(__always)
  func named(_ word: StaticString) -> Bool {
    guard word.utf8CodeUnitCount == name.count else { return false }
    // SAFETY: a StaticString's bytes live for ever.
    for index in 0..<name.count where unsafe word.utf8Start[index] != text[name.lowerBound + index] {
      return false
    }
    return true
  }

  /// Without the tab before it.
  var bytes: [UInt8] {
    var result: [UInt8] = []
    for index in value where !(result.isEmpty && text[index] == 9) { result.append(text[index]) }
    return result
  }

  func number(base: UInt64) -> UInt64 { number(in: value, base: base) }

  /// Decimal numbers, divided by tabs or blanks.
  var numbers: [UInt32] {
    var result: [UInt32] = []
    var start = value.lowerBound
    for index in value.lowerBound...value.upperBound {
      guard index == value.upperBound || text[index] == 9 || text[index] == 32 else { continue }
      if index > start { result.append(UInt32(truncatingIfNeeded: number(in: start..<index, base: 10))) }
      start = index + 1
    }
    return result
  }

  private func number(in range: Range<Int>, base: UInt64) -> UInt64 {
    var result: UInt64 = 0
    for index in range {
      let digit: UInt64
      switch text[index] {
      case 0x30...0x39: digit = UInt64(text[index] - 0x30)
      case 0x61...0x66: digit = UInt64(text[index] - 0x57)
      default: continue
      }
      result = result &* base &+ digit
    }
    return result
  }
}

/// With whose rights a call is carried out. `credentials(7)`.
package struct Identity: Equatable, Sendable {
  package let uid: UInt32
  package let gid: UInt32
  package let groups: [UInt32]
  /// By their numbers in `capabilities(7)`.
  package let capabilities: UInt64
}
