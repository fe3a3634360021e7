import CLinux
package import LinuxSystem
import Synchronization

/// One thread of ours traces a whole tree: every call that its filter traces stops its caller here (PTRACE_EVENT_SECCOMP)
/// until it is answered; children are traced from their first instruction on; whoever is left when we die is killed.
///
/// `ptrace(2)`: PTRACE_SEIZE since Linux 3.4, PTRACE_O_EXITKILL since 3.8; a call can be replaced at its stop since 4.8.
package final class Tracer: Sendable {
  /// A call at which its caller is stopped.
  package struct Call: Sendable {
    /// What names it until it is answered. No two calls have the same.
    package let id: UInt64
    package let thread: Int32
    package let number: Int32
    package let arguments: InlineArray<6, UInt64>
  }

  /// What a thread is told of its call.
  private enum Answer {
    /// A value, or -errno. The codes of restarts (-512 to -516) are the kernel's to carry out.
    case result(Int64)
    case make
    case give(Int32, closeOnExec: Bool, Given)
  }
  /// For whoever waits for a descriptor to be given.
  private final class Given: Sendable {
    let done = FutexWord()
    let errno = Atomic<Int32>(EACCES)
  }

  /// A descriptor that has to wait until there is a way to give it again. Signals are blocked meanwhile, for its caller
  /// passes the place of its call for each call that this takes.
  private struct Pending {
    let entry: Registers
    let descriptor: Int32
    let closeOnExec: Bool
    let given: Given
    let mask: UInt64
  }

  /// How a watched exec ended.
  package enum ExecEnd: Sendable, Equatable {
    /// The new image is in place and has run nothing. The argument is the process, which `release` lets go on.
    case made(Int32)
    /// With a result below zero. `release` lets the thread go on.
    case failed(Int64)
    case gone
  }
  private final class Watch: Sendable {
    let done = FutexWord()
    let end = Mutex(ExecEnd.gone)
    func tell(_ end: ExecEnd) {
      self.end.withLock { $0 = end }
      done.wakeAll()
    }
  }

  /// What is known of one thread. Only the tracing thread changes it.
  private struct Traced {
    let process: Int32
    /// At the entry of the call that waits.
    var entry: Registers?
    var id: UInt64 = 0
    /// A call that the kernel is to restart as after a signal: its number, and the code.
    var restart: (call: Int64, code: Int64)?
    var watch: Watch?
    var pending: Pending?
  }

  private struct State {
    var threads: [Int32: Traced] = [:]
    var places: [Int32: GivingPlace] = [:]
    var waiting: [UInt64: Int32] = [:]
    var watches: [UInt64: Watch] = [:]
    var nextID: UInt64 = 1
    var answers: [(id: UInt64, answer: Answer)] = []
    var released: [Int32] = []
    /// Born, and stopped until its parent has said so: whose child it is says what it shares.
    var early: Set<Int32> = []
    /// Ended before its parent has said so.
    var stillborn: Set<Int32> = []
    var changes: [(process: Int32, status: Int32)] = []
  }

  private let state = Mutex(Unchecked(State()))
  private let tracingThread = Atomic<Int32>(0)
  private let over = Atomic(false)
  /// Changes when answers have been taken.
  private let looked = FutexWord()
  private let wakeSignal: Int32
  /// Calls that return a descriptor: before they are handled there is a way to give one.
  private let givingCalls: Set<Int32>

  /// `wakeSignal`: caught, with a handler that does nothing.
  package init(wakeSignal: Int32, givingCalls: Set<Int32>) {
    self.wakeSignal = wakeSignal
    self.givingCalls = givingCalls
  }

  // MARK: - From any thread

  /// Whether nobody is traced any more.
  package var isOver: Bool { over.load(ordering: .acquiring) }

  /// Whether a call still waits for its answer. Its caller's ids are nobody else's then: a dead tracee keeps them until
  /// this thread has heard of its end.
  package func waits(_ id: UInt64) -> Bool { state.withLock { $0.value.waiting[id] != nil } }

  /// The call returns the value (or -errno); nil: the kernel makes it. False when the caller is gone.
  package func answer(_ id: UInt64, _ value: Int64?) -> Bool {
    guard waits(id) else { return false }
    post(id, value.map { .result($0) } ?? .make)
    return true
  }

  /// The call returns a number for the descriptor in its caller's table. Takes the descriptor. Returns the errno, 0 when
  /// done.
  package func give(_ id: UInt64, _ descriptor: Int32, closeOnExec: Bool) -> Int32 {
    let given = Given()
    guard waits(id) else {
      closeDescriptor(descriptor)
      return ESRCH
    }
    post(id, .give(descriptor, closeOnExec: closeOnExec, given))
    if !isTracing { while given.done.value == 0 { given.done.wait(while: 0) } }
    return given.errno.load(ordering: .acquiring)
  }

  /// Before an exec is let go on: its end is held until `release`.
  package func watch(_ id: UInt64) { state.withLock { $0.value.watches[id] = Watch() } }

  /// How it ended. Once for each watch whose call was let go on.
  package func end(of id: UInt64) -> ExecEnd {
    guard let watch = state.withLock({ $0.value.watches[id] }) else { return .gone }
    while watch.done.value == 0 { watch.done.wait(while: 0) }
    state.withLock { _ = $0.value.watches.removeValue(forKey: id) }
    return watch.end.withLock { $0 }
  }

  /// Lets go on who was held at the end of an exec.
  package func release(_ thread: Int32) {
    state.withLock { $0.value.released.append(thread) }
    wake()
  }

  /// What became of processes since the last time, as wait(2) says it: ends, and stops of whole processes.
  package func takeChanges() -> [(process: Int32, status: Int32)] {
    state.withLock { state in
      defer { state.value.changes.removeAll() }
      return state.value.changes
    }
  }

  private var isTracing: Bool { currentThread() == tracingThread.load(ordering: .relaxed) }

  private func post(_ id: UInt64, _ answer: Answer) {
    if isTracing {
      carryOut(id, answer)
    } else {
      state.withLock { $0.value.answers.append((id, answer)) }
      wake()
    }
  }

  /// A signal that comes just before the tracing thread waits is lost, so it is sent until the thread has looked.
  private func wake() {
    while true {
      let seen = looked.value
      if isOver || state.withLock({ $0.value.answers.isEmpty && $0.value.released.isEmpty }) { return }
      rawCall(Int(SYS_tkill), Int(tracingThread.load(ordering: .relaxed)), Int(wakeSignal))
      looked.wait(while: seen, milliseconds: 1)
    }
  }

  // MARK: - The tracing thread

  /// Attaches to the process, which has one thread and has not run anything of the tree yet. Its calls stop from here on.
  /// To be called, as `run`, from the thread that traces. Throws EPERM where that is not permitted.
  package func seize(_ process: Int32) throws(SystemCallError) {
    tracingThread.store(currentThread(), ordering: .relaxed)
    try check("ptrace", request(Self.seize, process, Self.options))
    state.withLock { $0.value.threads[process] = Traced(process: process) }
  }

  /// Until nobody is left. `handle` is called for each call, and answers it, now or later from another thread.
  package func run(_ handle: (Call) -> Void) {
    defer { over.store(true, ordering: .releasing) }
    while true {
      takeAnswers()
      var status: Int32 = 0
      // SAFETY: `status` lives across the call.
      let result = unsafe withUnsafeMutablePointer(to: &status) {
        rawCall(Int(SYS_wait4), -1, kernelAddress($0), Self.all, 0)
      }
      if result == -Int(EINTR) { continue }
      // Nobody is traced, and we have no children.
      guard result > 0 else { return }
      take(Int32(truncatingIfNeeded: result), status, handle)
    }
  }

  private func takeAnswers() {
    let (answers, released) = state.withLock { state in
      defer {
        state.value.answers.removeAll(keepingCapacity: true)
        state.value.released.removeAll(keepingCapacity: true)
      }
      return (state.value.answers, state.value.released)
    }
    if answers.isEmpty, released.isEmpty { return }
    looked.wakeAll()
    for (id, answer) in answers { carryOut(id, answer) }
    for thread in released { resume(thread) }
  }

  private func take(_ thread: Int32, _ status: Int32, _ handle: (Call) -> Void) {
    guard clinux_wifstopped(status) != 0 else {
      ended(thread, status)
      return
    }
    let (signal, event) = (clinux_wstopsig(status) & 0xff, status >> 16)
    settleRestart(thread)
    switch event {
    case Event.seccomp: stopped(thread, handle)
    case Event.fork, Event.vfork, Event.clone: made(thread, event)
    case Event.exec: executed(thread)
    case Event.stop where !isKnown(thread):
      state.withLock { state in
        state.value.early.insert(thread)
        state.value.stillborn.remove(thread)
      }
    case Event.stop where [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU].contains(signal):
      // The whole process is stopped, and stays so until SIGCONT.
      if known(thread).process == thread { change(thread, signal << 8 | 0x7f) }
      request(Self.listen, thread, 0)
    case 0 where clinux_wstopsig(status) == SIGTRAP | 0x80: returned(thread)
    case 0: resume(thread, delivering: signal)
    default: resume(thread)
    }
  }

  private func isKnown(_ thread: Int32) -> Bool { state.withLock { $0.value.threads[thread] != nil } }

  private func known(_ thread: Int32) -> Traced {
    state.withLock { state in
      if let traced = state.value.threads[thread] { return traced }
      let traced = Traced(process: processNumber(thread) ?? thread)
      state.value.threads[thread] = traced
      return traced
    }
  }

  /// Parents that are killed say nothing of their children any more.
  private func adoptEarly() {
    let early = state.withLock { state in
      defer { state.value.early = [] }
      // What they hold of their parents' is not known.
      if !state.value.early.isEmpty { for place in state.value.places.values { place.retire() } }
      return state.value.early
    }
    for child in early {
      _ = known(child)
      resume(child)
    }
  }

  private func change(_ process: Int32, _ status: Int32) {
    state.withLock { $0.value.changes.append((process, status)) }
  }

  private func ended(_ thread: Int32, _ status: Int32) {
    let gone = state.withLock { state -> Traced? in
      let traced = state.value.threads.removeValue(forKey: thread)
      if traced == nil, state.value.early.remove(thread) == nil { state.value.stillborn.insert(thread) }
      if let traced {
        state.value.waiting.removeValue(forKey: traced.id)
        if traced.process == thread { state.value.places.removeValue(forKey: thread) }
        if let pending = traced.pending { Self.drop(pending) }
      }
      state.value.changes.append((thread, status))
      return traced
    }
    gone?.watch?.tell(.gone)
    adoptEarly()
  }

  /// At a call that the filter traces.
  private func stopped(_ thread: Int32, _ handle: (Call) -> Void) {
    let process = known(thread).process
    guard let entry = Registers(of: thread) else { return }
    if goesOn(thread, entry) { return }
    let number = Int32(truncatingIfNeeded: entry.call)
    if givingCalls.contains(number), let place = place(of: process), let wanted = place.next() {
      prepare(thread, entry, place, wanted)
      return
    }
    let call = state.withLock { state -> Call in
      let id = state.value.nextID
      state.value.nextID += 1
      state.value.threads[thread]?.entry = entry
      state.value.threads[thread]?.id = id
      state.value.waiting[id] = thread
      return Call(id: id, thread: thread, number: number, arguments: entry.arguments)
    }
    handle(call)
  }

  /// Makes one of the calls that giving needs; then the caller makes its own once more.
  private func prepare(_ thread: Int32, _ entry: Registers, _ place: GivingPlace, _ wanted: GivingPlace.Request) {
    guard let result = make(wanted, in: thread, entry) else { return }
    let failed = place.made(result, by: thread)
    if failed == 0 {
      if Registers.again(entry).put(into: thread) { resume(thread) }
    } else {
      leave(thread, entry, -Int64(failed))
    }
  }

  /// Makes a call in place of the one at whose entry the thread is, and waits for its end. nil: the thread is gone.
  private func make(_ wanted: GivingPlace.Request, in thread: Int32, _ entry: Registers) -> Int64? {
    var registers = entry
    registers.call = Int64(wanted.call)
    registers.result = -Int64(ENOSYS)
    registers.arguments = wanted.arguments
    guard registers.put(into: thread), request(Self.toReturn, thread, 0) == 0 else { return nil }
    var status: Int32 = 0
    while true {
      // SAFETY: `status` lives across the call.
      let result = unsafe withUnsafeMutablePointer(to: &status) {
        rawCall(Int(SYS_wait4), Int(thread), kernelAddress($0), Self.all, 0)
      }
      if result == -Int(EINTR) { continue }
      guard result == Int(thread) else { return nil }
      break
    }
    guard clinux_wifstopped(status) != 0 else {
      ended(thread, status)
      return nil
    }
    return Registers(of: thread)?.result
  }

  /// At the end of a call that was made in another's place: the caller sees a result, and its registers as they were.
  private func leave(_ thread: Int32, _ entry: Registers, _ result: Int64) {
    var registers = entry
    registers.call = -1
    registers.result = result
    if registers.put(into: thread) { resume(thread) }
  }

  private func place(of process: Int32) -> GivingPlace? {
    state.withLock { state in
      if let place = state.value.places[process] { return place }
      let place = GivingPlace(process)
      state.value.places[process] = place
      return place
    }
  }

  // MARK: answers

  private func carryOut(_ id: UInt64, _ answer: Answer) {
    let (thread, entry, watch) = state.withLock { state -> (Int32, Registers?, Watch?) in
      guard let thread = state.value.waiting.removeValue(forKey: id) else { return (0, nil, nil) }
      defer { state.value.threads[thread]?.entry = nil }
      return (thread, state.value.threads[thread]?.entry, state.value.watches[id])
    }
    if let entry {
      switch answer {
      case .result(let value): finish(thread, entry, value)
      case .make:
        state.withLock { $0.value.threads[thread]?.watch = watch }
        if watch == nil { resume(thread) } else { request(Self.toReturn, thread, 0) }
      case .give(let descriptor, let closeOnExec, let given):
        give(thread, entry, descriptor, closeOnExec, given)
      }
    } else {
      watch?.tell(.gone)
    }
    if case .give(let descriptor, _, let given) = answer, entry == nil {
      closeDescriptor(descriptor)
      given.done.wakeAll()
    }
  }

  private func finish(_ thread: Int32, _ entry: Registers, _ value: Int64) {
    var registers = entry
    registers.call = -1
    registers.result = value
    let restarts = (-516)...(-512) ~= value
    if restarts {
      state.withLock { $0.value.threads[thread]?.restart = (entry.call, value) }
      request(Self.interrupt, thread, 0)
    }
    if registers.put(into: thread) { resume(thread) }
  }

  /// The stop on the way back, before signals are looked at: from here on the kernel does what the code says.
  private func settleRestart(_ thread: Int32) {
    let restart = state.withLock { state in
      defer { state.value.threads[thread]?.restart = nil }
      return state.value.threads[thread]?.restart
    }
    guard let restart, var registers = Registers(of: thread) else { return }
    registers.call = restart.call
    registers.result = restart.code
    _ = registers.put(into: thread)
  }

  // MARK: giving

  private func give(
    _ thread: Int32, _ entry: Registers, _ descriptor: Int32, _ closeOnExec: Bool, _ given: Given
  ) {
    let place = place(of: known(thread).process)
    guard let place, place.next() == nil else {
      // Its socket was closed, or another thread has forked, while the call waited.
      return giveLater(thread, entry, descriptor, closeOnExec, given, place)
    }
    give(Pending(entry: entry, descriptor: descriptor, closeOnExec: closeOnExec, given: given, mask: 0), thread, place)
  }

  private func give(_ pending: Pending, _ thread: Int32, _ place: GivingPlace) {
    defer { Self.drop(pending) }
    guard let wanted = place.send(pending.descriptor, to: thread, closeOnExec: pending.closeOnExec) else {
      return leave(thread, pending.entry, -Int64(EACCES))
    }
    guard let result = make(wanted, in: thread, pending.entry) else { return }
    let number = place.received(result, by: thread)
    pending.given.errno.store(number < 0 ? Int32(truncatingIfNeeded: -number) : 0, ordering: .releasing)
    leave(thread, pending.entry, number)
  }

  private func giveLater(
    _ thread: Int32, _ entry: Registers, _ descriptor: Int32, _ closeOnExec: Bool, _ given: Given,
    _ place: GivingPlace?
  ) {
    let mask = place == nil ? nil : blockSignals(thread)
    let pending = Pending(
      entry: entry, descriptor: descriptor, closeOnExec: closeOnExec, given: given, mask: mask ?? 0)
    guard let place, mask != nil else {
      Self.drop(pending)
      return leave(thread, entry, -Int64(EACCES))
    }
    advance(thread, pending, place)
  }

  /// The next of the calls that giving needs, or the giving itself. At the entry of the caller's call.
  private func advance(_ thread: Int32, _ pending: Pending, _ place: GivingPlace) {
    guard let wanted = place.next() else {
      setMask(pending.mask, of: thread)
      return give(pending, thread, place)
    }
    guard let result = make(wanted, in: thread, pending.entry) else { return Self.drop(pending) }
    let failed = place.made(result, by: thread)
    if failed == 0, Registers.again(pending.entry).put(into: thread) {
      state.withLock { $0.value.threads[thread]?.pending = pending }
      resume(thread)
    } else {
      setMask(pending.mask, of: thread)
      Self.drop(pending)
      leave(thread, pending.entry, -Int64(max(failed, 1)))
    }
  }

  /// Whether the call is one whose descriptor waits, made again.
  private func goesOn(_ thread: Int32, _ entry: Registers) -> Bool {
    let pending = state.withLock { state in
      defer { state.value.threads[thread]?.pending = nil }
      return state.value.threads[thread]?.pending
    }
    guard let pending else { return false }
    if pending.entry.isSame(as: entry), let place = place(of: known(thread).process) {
      advance(thread, pending, place)
      return true
    }
    // Somebody has changed its program, or the process is gone.
    setMask(pending.mask, of: thread)
    Self.drop(pending)
    return false
  }

  private static func drop(_ pending: Pending) {
    closeDescriptor(pending.descriptor)
    pending.given.done.wakeAll()
  }

  private func blockSignals(_ thread: Int32) -> UInt64? {
    var mask: UInt64 = 0
    // SAFETY: the kernel stores eight bytes at `mask`, which lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &mask) {
      rawCall(Int(SYS_ptrace), Self.getMask, Int(thread), 8, kernelAddress($0))
    }
    guard result == 0, setMask(.max, of: thread) else { return nil }
    return mask
  }

  @discardableResult
  private func setMask(_ mask: UInt64, of thread: Int32) -> Bool {
    var mask = mask
    // SAFETY: the kernel reads eight bytes at `mask`, which lives across the call.
    return unsafe withUnsafeMutablePointer(to: &mask) {
      rawCall(Int(SYS_ptrace), Self.setMask, Int(thread), 8, kernelAddress($0)) == 0
    }
  }

  // MARK: children and images

  private func made(_ parent: Int32, _ event: Int32) {
    if let child = message(parent) { register(child, of: known(parent).process, isThread: event == Event.clone) }
    resume(parent)
  }

  private func register(_ child: Int32, of parent: Int32, isThread: Bool) {
    let process = isThread ? processNumber(child) ?? child : child
    let isHere = state.withLock { state in
      if state.value.stillborn.remove(child) != nil, rawCall(Int(SYS_kill), Int(child), 0) < 0 { return false }
      let isNew = state.value.threads[child] == nil
      if isNew { state.value.threads[child] = Traced(process: process) }
      if process == child, let parent = state.value.places[parent] {
        parent.retire()
        // One that has run already may be another program by now, without what its parent had.
        if isNew, let place = GivingPlace(child) {
          place.inherit(parent)
          state.value.places[child] = place
        }
      }
      return state.value.early.remove(child) != nil
    }
    if isHere { resume(child) }
  }

  private func executed(_ process: Int32) {
    let former = message(process) ?? process
    let watch = state.withLock { state -> Watch? in
      let traced = state.value.threads.removeValue(forKey: former)
      // The first thread ends unheard of when another executes.
      if former != process, let first = state.value.threads[process] {
        state.value.waiting.removeValue(forKey: first.id)
        first.watch?.tell(.gone)
      }
      state.value.places.removeValue(forKey: process)
      state.value.threads[process] = Traced(process: process)
      return traced?.watch
    }
    if let watch { watch.tell(.made(process)) } else { resume(process) }
    adoptEarly()
  }

  /// At the end of a call that was let go on and is watched.
  private func returned(_ thread: Int32) {
    let watch = state.withLock { state in
      defer { state.value.threads[thread]?.watch = nil }
      return state.value.threads[thread]?.watch
    }
    guard let watch, let registers = Registers(of: thread) else {
      watch?.tell(.gone)
      resume(thread)
      return
    }
    watch.tell(.failed(registers.result))
  }

  // MARK: requests

  private enum Event {
    static let fork: Int32 = 1
    static let vfork: Int32 = 2
    static let clone: Int32 = 3
    static let exec: Int32 = 4
    static let seccomp: Int32 = 7
    static let stop: Int32 = 128
  }
  private static let all = 0x4000_0000  // __WALL
  private static let seize = 0x4206
  private static let interrupt = 0x4207
  private static let listen = 0x4208
  private static let eventMessage = 0x4201
  private static let getMask = 0x420a
  private static let setMask = 0x420b
  private static let continueRun = 7
  private static let toReturn = 24  // PTRACE_SYSCALL
  /// SYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL
  private static let options = 0x10_0000 | 0x9f

  @discardableResult
  private func request(_ number: Int, _ thread: Int32, _ data: Int) -> Int {
    rawCall(Int(SYS_ptrace), number, Int(thread), 0, data)
  }

  /// ESRCH: it was killed, and its end is about to be heard of.
  private func resume(_ thread: Int32, delivering signal: Int32 = 0) {
    request(Self.continueRun, thread, Int(signal))
  }

  private func message(_ thread: Int32) -> Int32? {
    var value = 0
    // SAFETY: the kernel stores one word at `value`, which lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &value) {
      rawCall(Int(SYS_ptrace), Self.eventMessage, Int(thread), 0, kernelAddress($0))
    }
    return result == 0 ? Int32(truncatingIfNeeded: value) : nil
  }

  /// The process of a thread, by its /proc/TID/status.
  private func processNumber(_ thread: Int32) -> Int32? {
    guard case .success(let bytes) = readAll("/proc/\(thread)/status", limit: 4096) else { return nil }
    for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "Tgid:\t".utf8) {
      return Int32(String(decoding: line.dropFirst(6), as: UTF8.self))
    }
    return nil
  }
}

/// What the lock guards; the places in it are classes that only the tracing thread uses.
private struct Unchecked<Value>: @unchecked Sendable {
  var value: Value
  init(_ value: Value) { self.value = value }
}
