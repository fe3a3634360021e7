import CLinux
import LinuxSystem
import Synchronization

/// What a call needs that returns a descriptor: calls made in its place.
extension Tracer {
  /// What became of a descriptor that was to be given.
  final class Given: Sendable {
    private let done: FutexWord?
    let errno = Atomic<Int32>(EACCES)

    /// `isAwaited`: by another thread than the one that gives.
    init(isAwaited: Bool) { done = isAwaited ? FutexWord() : nil }

    func tell() { done?.wakeAll() }
    func wait() {
      guard let done else { return }
      while done.value == 0 { done.wait(while: 0) }
    }
  }

  /// A descriptor that has to wait until there is a way to give it again. Signals are blocked meanwhile, for its caller
  /// passes the place of its call for each call that this takes.
  struct Pending {
    let entry: Registers
    let descriptor: Int32
    let closeOnExec: Bool
    let given: Given
    let mask: UInt64
  }

  /// Makes one of the calls that giving needs; then the caller makes its own once more.
  func prepare(_ thread: Int32, _ entry: Registers, _ place: GivingPlace, _ wanted: GivingPlace.Request) {
    guard let result = make(wanted, in: thread, entry) else { return }
    let failed = place.made(result, by: thread)
    if failed == 0 {
      if put(.again(entry), into: thread) { resume(thread) }
    } else {
      leave(thread, entry, -Int64(failed))
    }
  }

  /// Makes a call in place of the one at whose entry the thread is, and waits for its end. nil: the thread is gone.
  func make(_ wanted: GivingPlace.Request, in thread: Int32, _ entry: Registers) -> Int64? {
    var registers = entry
    registers.call = Int64(wanted.call)
    registers.result = -Int64(ENOSYS)
    registers.arguments = wanted.arguments
    // Else each of the two wakes the other on a CPU that is idle.
    let cpu = CallerCPU(holding: thread, withUs: true)
    defer { cpu.release() }
    guard put(registers, into: thread), request(Self.toReturn, thread, 0) == 0 else { return nil }
    var status: Int32 = 0
    let result = retryingInterrupt { waitFor(thread, Self.all, &status) }
    guard result == Int(thread) else {
      endUnlessGone(thread, result)
      return nil
    }
    guard clinux_wifstopped(status) != 0 else {
      ended(thread, status)
      return nil
    }
    return readRegisters(thread)?.result
  }

  /// At the end of a call that was made in another's place: the caller sees a result, and its registers as they were.
  func leave(_ thread: Int32, _ entry: Registers, _ result: Int64) {
    var registers = entry
    registers.call = -1
    registers.result = result
    if put(registers, into: thread) { resume(thread) }
  }

  func place(of process: Int32) -> GivingPlace? {
    state.withLock { state in
      if let place = state.value.places[process] { return place }
      let place = GivingPlace(process)
      state.value.places[process] = place
      return place
    }
  }

  func give(
    _ thread: Int32, _ entry: Registers, _ descriptor: Int32, _ closeOnExec: Bool, _ given: Given
  ) {
    let place = place(of: known(thread).process)
    guard let place, place.next() == nil else {
      // Its socket was closed, or another thread has forked, while the call waited.
      return giveLater(thread, entry, descriptor, closeOnExec, given, place)
    }
    give(
      Pending(entry: entry, descriptor: descriptor, closeOnExec: closeOnExec, given: given, mask: 0), thread,
      place)
  }

  func give(_ pending: Pending, _ thread: Int32, _ place: GivingPlace) {
    defer { pending.given.tell() }
    let wanted = place.send(pending.descriptor, to: thread, closeOnExec: pending.closeOnExec)
    // Before its caller goes on: what that closes is closed.
    closeDescriptor(pending.descriptor)
    guard let wanted else { return leave(thread, pending.entry, -Int64(EACCES)) }
    guard let result = make(wanted, in: thread, pending.entry) else { return }
    let number = place.received(result, by: thread)
    pending.given.errno.store(number < 0 ? Int32(truncatingIfNeeded: -number) : 0, ordering: .releasing)
    leave(thread, pending.entry, number)
  }

  func giveLater(
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
  func advance(_ thread: Int32, _ pending: Pending, _ place: GivingPlace) {
    guard let wanted = place.next() else {
      setMask(pending.mask, of: thread)
      return give(pending, thread, place)
    }
    guard let result = make(wanted, in: thread, pending.entry) else { return Self.drop(pending) }
    let failed = place.made(result, by: thread)
    if failed == 0, put(.again(pending.entry), into: thread) {
      state.withLock { $0.value.threads[thread]?.pending = pending }
      resume(thread)
    } else {
      setMask(pending.mask, of: thread)
      Self.drop(pending)
      leave(thread, pending.entry, -Int64(max(failed, 1)))
    }
  }

  /// Whether the call is one whose descriptor waits, made again.
  func goesOn(_ thread: Int32, _ entry: Registers) -> Bool {
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

  static func drop(_ pending: Pending) {
    closeDescriptor(pending.descriptor)
    pending.given.tell()
  }

  func blockSignals(_ thread: Int32) -> UInt64? {
    guard let mask = try? signalMask(of: thread), setMask(.max, of: thread) else { return nil }
    return mask
  }

  @discardableResult
  func setMask(_ mask: UInt64, of thread: Int32) -> Bool {
    do throws(SystemCallError) {
      try setSignalMask(mask, of: thread)
      return true
    } catch {
      endUnlessGone(thread, -Int(error.errno))
      return false
    }
  }
}
