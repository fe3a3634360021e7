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
  enum Answer {
    /// A value, or -errno. The codes of restarts (-512 to -516) are the kernel's to carry out.
    case result(Int64)
    case make
    case give(Int32, closeOnExec: Bool, Given)
  }
  /// How a watched exec ended.
  package enum ExecEnd: Sendable, Equatable {
    /// The new image is in place and has run nothing. The argument is the process, which `release` lets go on.
    case made(Int32)
    /// With a result below zero. `release` lets the thread go on.
    case failed(Int64)
    case gone
  }
  final class Watch: Sendable {
    let done = FutexWord()
    let end = Mutex(ExecEnd.gone)
    func tell(_ end: ExecEnd) {
      self.end.withLock { $0 = end }
      done.wakeAll()
    }
  }

  /// What is known of one thread. Only the tracing thread changes it.
  struct Traced {
    let process: Int32
    /// At the entry of the call that waits.
    var entry: Registers?
    var id: UInt64 = 0
    /// A call that the kernel is to restart as after a signal: its number, and the code.
    var restart: (call: Int64, code: Int64)?
    var watch: Watch?
    var pending: Pending?
  }

  struct State {
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
    var changes: [Int32] = []
  }

  let state = Mutex(Unchecked(State()))
  let tracingThread = Atomic<Int32>(0)
  /// The same, as it is told without a call.
  let tracingPlace = Atomic<UInt>(0)
  let over = Atomic(false)
  /// Changes when answers have been taken.
  let looked = FutexWord()
  let wakeSignal: Int32
  /// Calls that return a descriptor: before they are handled there is a way to give one.
  let givingCalls: Set<Int32>
  /// The process whose changes are kept and told of.
  let watched: Int32
  let tell: @Sendable () -> Void

  /// `wakeSignal`: caught, with a handler that does nothing. `tell`: called by the tracing thread when `takeChanges` or
  /// `isOver` has something new to say, for SIGCHLD comes with every stop of everybody.
  package init(
    watching process: Int32, wakeSignal: Int32, givingCalls: Set<Int32>, tell: @escaping @Sendable () -> Void
  ) {
    watched = process
    self.wakeSignal = wakeSignal
    self.givingCalls = givingCalls
    self.tell = tell
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
    let given = Given(isAwaited: !isTracing)
    guard waits(id) else {
      closeDescriptor(descriptor)
      return ESRCH
    }
    post(id, .give(descriptor, closeOnExec: closeOnExec, given))
    given.wait()
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

  /// What became of the watched process since the last time, as wait(2) says it: its end, and stops of the whole.
  package func takeChanges() -> [Int32] {
    state.withLock { state in
      defer { state.value.changes.removeAll() }
      return state.value.changes
    }
  }

  var isTracing: Bool { clinux_this_thread() == tracingPlace.load(ordering: .relaxed) }

  func post(_ id: UInt64, _ answer: Answer) {
    if isTracing {
      carryOut(id, answer)
    } else {
      state.withLock { $0.value.answers.append((id, answer)) }
      wake()
    }
  }

  /// A signal that comes just before the tracing thread waits is lost, so it is sent until the thread has looked.
  func wake() {
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
    tracingPlace.store(clinux_this_thread(), ordering: .relaxed)
    try check("ptrace", rawCall(Int(SYS_ptrace), Self.seize, Int(process), 0, Self.options))
    state.withLock { $0.value.threads[process] = Traced(process: process) }
  }

  /// Until nobody is left. `handle` is called for each call, and answers it, now or later from another thread.
  package func run(_ handle: (Call) -> Void) {
    defer {
      over.store(true, ordering: .releasing)
      tell()
    }
    var heard: [(thread: Int32, status: Int32)] = []
    while true {
      takeAnswers()
      var status: Int32 = 0
      let before = monotonicClock()
      let result = waitFor(-1, Self.all, &status)
      if result == -Int(EINTR) { continue }
      // Nobody is traced, and we have no children.
      if result == -Int(ECHILD) { return }
      // Who is traced would stay stopped, or run on unseen: with us the kernel ends them all.
      guard result > 0 else { return endAll() }
      if monotonicClock() - before > Self.sleep {
        // Nobody had stopped before.
        take(Int32(truncatingIfNeeded: result), status, handle)
        continue
      }
      heard.append((Int32(truncatingIfNeeded: result), status))
      // The kernel tells of the youngest first: where the young stop all the time, nobody else would be heard.
      while !heard.isEmpty {
        for (thread, status) in heard {
          take(thread, status, handle)
          takeAnswers()
        }
        hearAll(&heard)
      }
    }
  }

  /// Nanoseconds from which a wait has waited for somebody to stop.
  private static let sleep: UInt64 = 10_000

  /// All that wait to be heard now.
  private func hearAll(_ heard: inout [(thread: Int32, status: Int32)]) {
    heard.removeAll(keepingCapacity: true)
    var status: Int32 = 0
    while true {
      let result = waitFor(-1, Self.all | Int(WNOHANG), &status)
      // What fails here fails again where it is waited for.
      guard result > 0 else { return }
      heard.append((Int32(truncatingIfNeeded: result), status))
    }
  }

  func takeAnswers() {
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

  func take(_ thread: Int32, _ status: Int32, _ handle: (Call) -> Void) {
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

  func isKnown(_ thread: Int32) -> Bool { state.withLock { $0.value.threads[thread] != nil } }

  func known(_ thread: Int32) -> Traced {
    state.withLock { state in
      if let traced = state.value.threads[thread] { return traced }
      let traced = Traced(process: processNumber(thread) ?? thread)
      state.value.threads[thread] = traced
      return traced
    }
  }

  func change(_ process: Int32, _ status: Int32) {
    guard process == watched else { return }
    state.withLock { $0.value.changes.append(status) }
    tell()
  }

  func ended(_ thread: Int32, _ status: Int32) {
    let gone = state.withLock { state -> Traced? in
      let traced = state.value.threads.removeValue(forKey: thread)
      if traced == nil, state.value.early.remove(thread) == nil { state.value.stillborn.insert(thread) }
      if let traced {
        state.value.waiting.removeValue(forKey: traced.id)
        if traced.process == thread { state.value.places.removeValue(forKey: thread) }
        if let pending = traced.pending { Self.drop(pending) }
      }
      return traced
    }
    change(thread, status)
    gone?.watch?.tell(.gone)
    adoptEarly()
  }

  /// At a call that the filter traces.
  func stopped(_ thread: Int32, _ handle: (Call) -> Void) {
    let process = known(thread).process
    guard let entry = readRegisters(thread) else { return }
    if goesOn(thread, entry) { return }
    let number = Int32(truncatingIfNeeded: entry.call)
    if givingCalls.contains(number), let place = place(of: process), !place.isMade,
      let wanted = place.next()
    {
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

  // MARK: answers

  func carryOut(_ id: UInt64, _ answer: Answer) {
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
      given.tell()
    }
  }

  func finish(_ thread: Int32, _ entry: Registers, _ value: Int64) {
    var registers = entry
    registers.call = -1
    registers.result = value
    let restarts = (-516)...(-512) ~= value
    if restarts {
      state.withLock { $0.value.threads[thread]?.restart = (entry.call, value) }
      request(Self.interrupt, thread, 0)
    }
    if put(registers, into: thread) { resume(thread) }
  }

  /// The stop on the way back, before signals are looked at: from here on the kernel does what the code says.
  func settleRestart(_ thread: Int32) {
    let restart = state.withLock { state in
      defer { state.value.threads[thread]?.restart = nil }
      return state.value.threads[thread]?.restart
    }
    guard let restart, var registers = readRegisters(thread) else { return }
    registers.call = restart.call
    registers.result = restart.code
    _ = put(registers, into: thread)
  }
}

/// What the lock guards; the places in it are classes that only the tracing thread uses.
struct Unchecked<Value>: @unchecked Sendable {
  var value: Value
  init(_ value: Value) { self.value = value }
}
