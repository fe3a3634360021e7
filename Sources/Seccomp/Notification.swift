package import CLinux
package import LinuxSystem

/// A call that waits for its answer. Every path answers exactly once: an answer consumes the value, and a value that
/// is dropped denies with EPERM.
///
/// `seccomp_unotify(2)`, since Linux 5.0.
package struct PendingNotification: ~Copyable, Sendable {
  /// What identifies the call until it is answered.
  package let id: UInt64
  /// The calling thread (a tid) in the supervisor's pid namespace.
  package let thread: Int32
  /// System call number of the architecture that the filter admitted (x86-64).
  package let call: Int32
  /// The six registers; pointers are addresses in the caller's memory.
  package let arguments: InlineArray<6, UInt64>
  private let listener: Int32
  /// Newest first; -1: none.
  private var kept = InlineArray<4, Int32>(repeating: -1)

  /// What the kernel wrote into `request`, to be answered at `listener`.
  package init(_ request: borrowing seccomp_notif, listener: Int32) {
    id = request.id
    thread = Int32(bitPattern: request.pid)
    call = request.data.nr
    arguments = [
      request.data.args.0, request.data.args.1, request.data.args.2, request.data.args.3, request.data.args.4,
      request.data.args.5,
    ]
    self.listener = listener
  }

  /// A call that a tracer has stopped: it is answered by `CallPort.current`.
  package init(tracedAs id: UInt64, thread: Int32, call: Int32, arguments: InlineArray<6, UInt64>) {
    self.id = id
    self.thread = thread
    self.call = call
    self.arguments = arguments
    listener = CallPort.number
  }

  private init(_ parked: ParkedNotification) {
    id = parked.id
    thread = parked.thread
    call = parked.call
    arguments = parked.arguments
    listener = parked.listener
    kept = parked.kept
  }

  /// Gives the call what is open for its sake and is, or is in the way of, what the caller has open. It is closed before
  /// the call is answered, whatever the answer: what the caller closes next has to be closed then, with its port, its
  /// lock, its peer's end of file. Four at most; the oldest of more is closed at once. Returns its number.
  @discardableResult
  package mutating func keep(_ descriptor: consuming FileDescriptor) -> Int32 {
    if kept[3] >= 0 { closeDescriptor(kept[3]) }
    for index in (1...3).reversed() { kept[index] = kept[index - 1] }
    kept[0] = descriptor.release()
    return kept[0]
  }

  /// Gives up the newest of what is kept that `isWanted`.
  package mutating func giveUp(where isWanted: (Int32) -> Bool) -> FileDescriptor? {
    for index in 0...3 where kept[index] >= 0 && isWanted(kept[index]) {
      let found = kept[index]
      kept[index] = -1
      return FileDescriptor(owning: found)
    }
    return nil
  }

  /// Whether the caller still waits. To be asked after reading its memory and before any effect.
  package borrowing func isAlive() -> Bool { callWaits(id, at: listener) }

  /// The call returns `value`. False when the caller is gone.
  @discardableResult
  package consuming func complete(_ value: Int64 = 0) -> Bool {
    let done = send(value: value, error: 0, flags: 0)
    discard self
    return done
  }

  /// The call fails with `errno`, a positive number.
  @discardableResult
  package consuming func fail(_ errno: Int32) -> Bool {
    let done = send(value: 0, error: errno > 0 ? -errno : -EPERM, flags: 0)
    discard self
    return done
  }

  /// The kernel carries the call out as it stands when it resumes. Only for decisions by register value, for calls
  /// whose every possible argument gets the same verdict, and for what is verified afterwards (execve).
  @discardableResult
  package consuming func passThrough() -> Bool {
    let done = send(value: 0, error: 0, flags: UInt32(SECCOMP_USER_NOTIF_FLAG_CONTINUE))
    discard self
    return done
  }

  /// The interrupted call is made again from the start, as after a handled signal with SA_RESTART (ERESTARTNOINTR);
  /// it comes back as a new notification.
  @discardableResult
  package consuming func restart() -> Bool {
    let done = send(value: 0, error: -513, flags: 0)
    discard self
    return done
  }

  /// As if the call had been interrupted by the signal that is pending: EINTR, or made again when its handler says
  /// SA_RESTART (ERESTARTSYS).
  @discardableResult
  package consuming func interrupt() -> Bool {
    let done = send(value: 0, error: -512, flags: 0)
    discard self
    return done
  }

  /// Puts `descriptor`, which is ours no more, into the caller's table and returns its number there as the call's result.
  /// Where that fails (EMFILE) the call fails with that errno: never CONTINUE. Returns the errno, 0 when done.
  ///
  /// ADDFD and then SEND rather than ADDFD with the SEND flag: only the plain SEND wakes synchronously.
  @discardableResult
  package consuming func complete(giving descriptor: Int32, closeOnExec: Bool) -> Int32 {
    if listener == CallPort.number {
      closeKept()
      let failed = CallPort.current.give(id, descriptor, closeOnExec)
      discard self
      return failed
    }
    var add = seccomp_notif_addfd()
    add.id = id
    add.srcfd = UInt32(bitPattern: descriptor)
    add.newfd_flags = closeOnExec ? UInt32(O_CLOEXEC) : 0
    let cpu = CallerCPU(holding: thread)
    // SAFETY: `add` lives across the call.
    let number = unsafe clinux_notif_addfd(listener, &add)
    cpu.release()
    closeDescriptor(descriptor)
    let failed = number < 0 ? Int32(truncatingIfNeeded: -number) : 0
    if failed == 0 {
      _ = send(value: Int64(number), error: 0, flags: 0)
    } else {
      _ = send(value: 0, error: -failed, flags: 0)
    }
    discard self
    return failed
  }

  /// For a helper thread's queue: a value that can be copied, but has to become a notification again to be answered.
  package consuming func park() -> ParkedNotification {
    let parked = ParkedNotification(
      id: id, thread: thread, call: call, arguments: arguments, listener: listener, kept: kept)
    discard self
    return parked
  }

  /// Takes a parked notification back. Once for each `park()`.
  package static func resume(_ parked: ParkedNotification) -> PendingNotification {
    PendingNotification(parked)
  }

  private borrowing func send(value: Int64, error: Int32, flags: UInt32) -> Bool {
    closeKept()
    if listener == CallPort.number {
      return CallPort.current.answer(id, flags == 0 ? error == 0 ? value : Int64(error) : nil)
    }
    var response = seccomp_notif_resp()
    response.id = id
    response.val = value
    response.error = error
    response.flags = flags
    // SAFETY: `response` lives across the call.
    return unsafe clinux_notif_send(listener, &response) == 0
  }

  private borrowing func closeKept() {
    for index in 0...3 where kept[index] >= 0 { closeDescriptor(kept[index]) }
  }

  deinit { _ = send(value: 0, error: -EPERM, flags: 0) }
}

/// A `PendingNotification` on its way to another thread.
package struct ParkedNotification: Sendable {
  package let id: UInt64
  fileprivate let thread: Int32
  fileprivate let call: Int32
  fileprivate let arguments: InlineArray<6, UInt64>
  fileprivate let listener: Int32
  fileprivate let kept: InlineArray<4, Int32>
}
