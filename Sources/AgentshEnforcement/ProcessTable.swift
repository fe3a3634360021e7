import LinuxSystem
import Synchronization

/// What is known of the processes of the tree: for records, and the depth that command rules ask for. Refreshed at
/// each exec; forgotten when it grows over its limit.
package final class ProcessTable: Sendable {
  package static let limit = 16_384
  /// Depth of a process whose ancestry is not known: nested.
  package static let unknownDepth = UInt32.max

  package struct Entry: Sendable {
    package var process: Int32
    package var parent: Int32
    /// 0: the launcher and what it becomes; each fork below adds one.
    package var depth: UInt32
    package var command: String
  }

  private let entries = Mutex<[Int32: Entry]>([:])
  private let target: Int32

  package init(target: Int32) { self.target = target }

  /// The entry of a thread, read from /proc the first time. nil when the thread is gone.
  package func entry(_ thread: Int32) -> Entry? {
    if let known = entries.withLock({ $0[thread] }) { return known }
    return refresh(thread)
  }

  /// Reads the entry again: at exec, when the command has changed and the number may be another process's.
  @discardableResult
  package func refresh(_ thread: Int32) -> Entry? {
    guard let status = ThreadStatus(reading: thread) else { return nil }
    let entry = Entry(
      process: status.process, parent: status.parent,
      depth: depth(of: status.process, parent: status.parent),
      command: String(decoding: status.command, as: UTF8.self))
    entries.withLock { table in
      if table.count >= Self.limit { table.removeAll(keepingCapacity: true) }
      table[thread] = entry
    }
    return entry
  }

  /// Follows parents up to the target. Bounded; a chain that does not reach it is of unknown depth.
  private func depth(of process: Int32, parent: Int32) -> UInt32 {
    if process == target { return 0 }
    var steps: UInt32 = 1
    var current = parent
    while steps < 1024 {
      if current == target { return steps }
      if let known = entries.withLock({ $0[current] }), known.process == current {
        return known.depth == Self.unknownDepth ? Self.unknownDepth : known.depth + steps
      }
      guard current > 1, let status = ThreadStatus(reading: current) else { return Self.unknownDepth }
      current = status.parent
      steps += 1
    }
    return Self.unknownDepth
  }

  /// Whether a process belongs to the supervised tree: the target, or a descendant of it or of `reaper` (which
  /// inherits orphans). Read from /proc each time: the answer permits things.
  package func isMember(_ process: Int32, reaper: Int32) -> Bool {
    var current = process
    for _ in 0..<1024 {
      if current == target { return true }
      if current == reaper { return process != reaper }
      guard current > 1, let status = ThreadStatus(reading: current) else { return false }
      current = status.parent
    }
    return false
  }
}
