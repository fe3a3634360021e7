import CLinux
import LinuxSystem
import Synchronization

/// What is known of the processes of the tree: for records, and the depth that command rules ask for. Read at each
/// exec; otherwise believed for a while only, because numbers are used again. Forgotten when it grows over its limit.
package final class ProcessTable: Sendable {
  package static let limit = 16_384
  /// Depth of a process whose ancestry is not known: nested.
  package static let unknownDepth = UInt32.max
  /// So many parents are followed.
  private static let chainLimit = 1024
  /// How long an entry is believed: shorter than the numbers take to come round again.
  private static let lifetime: UInt64 = 2_000_000_000

  package struct Entry: Sendable {
    package var process: Int32
    package var parent: Int32
    /// 0: the launcher and what it becomes; each fork below adds one.
    package var depth: UInt32
    package var command: String
    fileprivate var readAt: UInt64
  }

  private let entries = Mutex<[Int32: Entry]>([:])
  private let target: Int32
  /// Says whether the target's number is still the target's: it ends before its tree does, and the number is used again.
  private let targetHandle: FileDescriptor
  /// Whether rules tell depths inside the tree apart (`PolicyRules.tellsDepths`).
  private let tellsDepths: Bool
  /// Children of ours that are not of the tree.
  private let strangers = Mutex<Set<Int32>>([])
  /// Odd while one starts.
  private let starting = Atomic<UInt64>(0)
  /// Whether the launcher has become the agent.
  private let started = Atomic<Bool>(false)

  /// `target` is alive, and a child of ours or waiting for us.
  package init(target: Int32, tellsDepths: Bool) {
    self.target = target
    self.tellsDepths = tellsDepths
    // Without one nobody is the target, and every depth is unknown.
    targetHandle = FileDescriptor(owning: Int32(max(openPidfd(target), -1)))
  }

  /// Whether the target has not been reaped yet: what was read of its number before is the target's. `kill(2)`, signal 0.
  private var targetHolds: Bool { ![-Int(ESRCH), -Int(EBADF)].contains(sendSignal(targetHandle.number, 0)) }

  /// The entry of a thread, read from the kernel when it is not known or no longer believed. nil when the thread is
  /// gone.
  package func entry(_ thread: Int32) -> Entry? {
    if let known = entries.withLock({ $0[thread] }), monotonicClock() &- known.readAt < Self.lifetime {
      return known
    }
    return refresh(thread)
  }

  /// Reads the entry again.
  @discardableResult
  package func refresh(_ thread: Int32) -> Entry? {
    guard let identity = Self.identity(of: thread) else {
      forget(thread)
      return nil
    }
    let entry = Entry(
      process: identity.process, parent: identity.parent,
      depth: depth(of: identity.process, parent: identity.parent),
      command: inherited(from: identity.parent) ?? Self.commandName(thread), readAt: monotonicClock())
    keep(entry, thread)
    return entry
  }

  private func keep(_ entry: Entry, _ thread: Int32) {
    entries.withLock { table in
      if table.count >= Self.limit { table.removeAll(keepingCapacity: true) }
      table[thread] = entry
    }
  }

  /// A fork copies its parent's name.
  private func inherited(from parent: Int32) -> String? {
    guard let known = entries.withLock({ $0[parent] }), monotonicClock() &- known.readAt < Self.lifetime
    else { return nil }
    return known.command
  }

  package func forget(_ thread: Int32) { entries.withLock { _ = $0.removeValue(forKey: thread) } }

  /// An exec was let through: the process is another program now, named as the kernel names it, and its other threads
  /// are gone. One that fails after all is called by the wrong name until the entry is read again.
  package func becomes(_ path: String, _ entry: Entry, thread: Int32) {
    if thread != entry.process { forget(thread) }
    var entry = entry
    entry.command = String(
      decoding: path.utf8[
        (path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) } ?? path.utf8.startIndex)...
      ].prefix(15), as: UTF8.self)
    entry.readAt = monotonicClock()
    keep(entry, entry.process)
  }

  /// The depth that command rules ask for: 0 for the launcher's own exec, by which it becomes the agent.
  package func commandDepth(_ entry: Entry?) -> UInt32 {
    guard let entry else { return Self.unknownDepth }
    if entry.process == target, !started.load(ordering: .acquiring) { return 0 }
    return max(1, tellsDepths ? depthNow(of: entry.process) : entry.depth)
  }

  /// How many forks lie between the target and a process that waits for our answer. Nothing is believed that was read
  /// before, for a number may be another's by now; and the chain is read twice: a process has the same parent both times
  /// only if that one lived in between, for an orphan goes to us, and no other way leads to a new parent (the filter's
  /// `depths`). Who has lost a parent so is of unknown depth.
  private func depthNow(of process: Int32) -> UInt32 {
    guard let chain = ancestors(of: process), chain == ancestors(of: process) else {
      return Self.unknownDepth
    }
    return UInt32(chain.count)
  }

  /// Parents up to the target, which is the last; nil where they do not lead there.
  private func ancestors(of process: Int32) -> [Int32]? {
    var chain: [Int32] = []
    if process != target {
      guard process > 1, let identity = Self.identity(of: process) else { return nil }
      let leads = Self.someAncestor(from: identity.parent) { ancestor in
        chain.append(ancestor)
        return ancestor == target
      }
      guard leads else { return nil }
    }
    return targetHolds ? chain : nil
  }

  /// Whether a parent that is followed, from `first` on, is the wanted one. Asked from the kernel each time; a chain that
  /// is broken by an end, or too long, leads to nobody.
  private static func someAncestor(from first: Int32, isWanted: (Int32) -> Bool) -> Bool {
    var current = first
    for _ in 0..<chainLimit {
      if isWanted(current) { return true }
      guard current > 1, let next = identity(of: current) else { return false }
      current = next.parent
    }
    return false
  }

  /// The launcher's exec was let through: what comes from now on comes from inside.
  package func markStarted(_ process: Int32) {
    if process == target { started.store(true, ordering: .releasing) }
  }

  private static func identity(of thread: Int32) -> (process: Int32, parent: Int32)? {
    if let known = ThreadIdentity(of: thread) { return (known.process, known.parent) }
    guard let status = ThreadStatus(reading: thread) else { return nil }
    return (status.process, status.parent)
  }

  /// `proc_pid_comm(5)`.
  private static func commandName(_ thread: Int32) -> String {
    let opened = ProcPath(thread, "comm").open(flags: O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return "" }
    let file = FileDescriptor(owning: Int32(opened))
    // At most 64 bytes for kernel threads, 16 for others.
    var bytes = InlineArray<64, UInt8>(repeating: 0)
    // SAFETY: 64 bytes, alive across the call.
    let count = unsafe withUnsafeMutablePointer(to: &bytes) {
      rawCall(Int(SYS_read), Int(file.number), kernelAddress($0), 64)
    }
    var length = max(0, min(count, 64))
    if length > 0, bytes[length - 1] == 10 { length -= 1 }
    return unsafe bytes.span.extracting(0..<length).withUnsafeBufferPointer {
      // SAFETY: read within the span's life.
      unsafe String(decoding: $0, as: UTF8.self)
    }
  }

  /// Follows parents up to the target. Bounded; a chain that does not reach it is of unknown depth.
  private func depth(of process: Int32, parent: Int32) -> UInt32 {
    if process == target { return targetHolds ? 0 : Self.unknownDepth }
    var steps: UInt32 = 1
    var current = parent
    while steps < Self.chainLimit {
      if current == target { return targetHolds ? steps : Self.unknownDepth }
      if let known = entries.withLock({ $0[current] }), known.process == current,
        monotonicClock() &- known.readAt < Self.lifetime
      {
        return known.depth == Self.unknownDepth ? Self.unknownDepth : known.depth + steps
      }
      guard current > 1, let identity = Self.identity(of: current) else { return Self.unknownDepth }
      current = identity.parent
      steps += 1
    }
    return Self.unknownDepth
  }

  /// Whether a process comes from `ancestor` by any number of forks. A chain that is broken by an end does not reach it.
  package func descends(_ process: Int32, from ancestor: Int32) -> Bool {
    guard let identity = Self.identity(of: process) else { return false }
    return Self.someAncestor(from: identity.parent) { $0 == ancestor }
  }

  /// Whether a process (or thread) belongs to the supervised tree: the target, or a descendant of it or of `reaper`
  /// (which inherits orphans). Asked from the kernel each time: the answer permits things. The number may be another
  /// process's a moment later; then the kernel's own rules hold for that one, as they would for any of the owner's.
  package func isMember(_ process: Int32, reaper: Int32) -> Bool {
    while true {
      let before = starting.load(ordering: .sequentiallyConsistent)
      let answer =
        before % 2 == 0 && belongs(process, reaper) && !strangers.withLock { $0.contains(process) }
      if before % 2 == 0, starting.load(ordering: .sequentiallyConsistent) == before { return answer }
      FutexWord().wait(while: 0, milliseconds: 1)
    }
  }

  /// For a child of ours that is not of the tree, though it descends from us. `start` returns its number, or -errno;
  /// until that is known nobody is told who is a member.
  func startingStranger(_ start: () -> Int) -> Int {
    strangers.withLock { known in
      starting.add(1, ordering: .sequentiallyConsistent)
      defer { starting.add(1, ordering: .sequentiallyConsistent) }
      let process = start()
      if process > 0 { known.insert(Int32(truncatingIfNeeded: process)) }
      return process
    }
  }

  /// It has ended, and nobody waits for it any more.
  func forgetStranger(_ process: Int32) { strangers.withLock { _ = $0.remove(process) } }

  private func belongs(_ process: Int32, _ reaper: Int32) -> Bool {
    guard process > 1, let identity = Self.identity(of: process) else { return false }
    if identity.process == reaper { return false }
    if identity.process == target { return targetHolds }
    return Self.someAncestor(from: identity.parent) { $0 == reaper || $0 == target && targetHolds }
  }
}
