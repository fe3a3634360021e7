import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging
import Synchronization

/// One connection that has not said anything yet.
private struct Waiting {
  let socket: SharedDescriptor
  let peer: Caller
  let deadline: UInt64
}

/// A message that came with its listener, and who sent it.
struct Handed {
  let socket: SharedDescriptor
  let peer: Caller
  let message: HandoffMessage
  let listener: ReceivedListener
}

/// The listener while we hold it. Closed as soon as the supervisor has its own: as long as anybody holds one, a call
/// that nobody answers hangs instead of failing.
final class ReceivedListener: Sendable {
  private let file: Mutex<FileDescriptor?>
  let number: Int32

  init(_ file: consuming FileDescriptor) {
    number = file.number
    self.file = Mutex(consume file)
  }

  func close() {
    file.withLock { file in
      let open = file.take()
      _ = consume open
    }
  }
}

/// Carries what cannot be copied into the thread's closure, which runs once.
final class HandoffBox: Sendable {
  private let content: Mutex<HandoffThread?>
  init(_ thread: consuming HandoffThread) { content = Mutex(consume thread) }
  func run(_ director: LaunchDirector) {
    guard let thread = content.withLock({ $0.take() }) else { return }
    thread.run(director)
  }
  func abandon() {
    guard let thread = content.withLock({ $0.take() }) else { return }
    thread.abandon()
  }
}

/// Waits on one hand-off socket until the listener has come or the caller is gone. Strangers hold nobody up: each
/// connection has its own deadline, and a wrong one never uses up the caller's.
struct HandoffThread: ~Copyable, Sendable {
  let launch: Launch
  let socket: HandoffSocket
  let pidfd: SharedDescriptor
  let caller: Caller
  let token: [UInt8]
  let supervise: Bool

  consuming func abandon() { socket.remove() }

  consuming func run(_ director: LaunchDirector) {
    let handed = wait(director)
    let launch = launch
    let caller = caller
    socket.remove()
    guard let handed else {
      director.perform(launch.session.apply(.abandoned, to: launch.id), launch)
      return
    }
    director.take(handed, launch, caller)
  }

  private borrowing func wait(_ director: LaunchDirector) -> Handed? {
    var waiting: [Waiting] = []
    var refused: [UInt32: Int] = [:]
    while true {
      let ready = waitForAny(
        [pidfd.number, socket.listener.number] + waiting.map(\.socket.number), milliseconds: 1000)
      // Deleted meanwhile, or the caller has gone.
      if launch.isReleased || ready.contains(0) { return nil }
      var kept: [Waiting] = []
      for (index, connection) in waiting.enumerated() {
        guard ready.contains(index + 2) else {
          if monotonicClock() < connection.deadline { kept.append(connection) }
          continue
        }
        do throws(Refusal) { return try receive(connection) } catch {
          refuse(error, connection, director)
        }
      }
      waiting = kept
      if ready.contains(1) { accept(&waiting, &refused, director) }
    }
  }

  private borrowing func accept(
    _ waiting: inout [Waiting], _ refused: inout [UInt32: Int], _ director: LaunchDirector
  ) {
    for _ in 0..<LaunchDirector.waitingLimit {
      guard let accepted = try? ServerSocket.accept(socket.listener.number) else { return }
      let connection = SharedDescriptor(accepted)
      guard let peer = try? ServerSocket.peer(of: connection.number) else { continue }
      guard peer.uid == caller.uid else {
        refused[peer.uid, default: 0] += 1
        if refused[peer.uid] == 1 { note(peer, "uid \(peer.uid) is not the caller's", director) }
        continue
      }
      guard waiting.count < LaunchDirector.waitingLimit else { continue }
      waiting.append(
        Waiting(
          socket: connection, peer: peer,
          deadline: monotonicClock() + LaunchDirector.messageSeconds * 1_000_000_000))
    }
  }

  private borrowing func note(_ peer: Caller, _ cause: String, _ director: LaunchDirector) {
    let details = launch.session.details
    director.services.logger.warning("session \(details.id): hand-off refused to pid \(peer.pid): \(cause)")
    director.services.record(
      director.services.lifecycle.handoffRefused(details.id, uid: peer.uid, pid: peer.pid, cause: cause),
      owner: details.ownerUID)
  }

  private borrowing func refuse(_ refusal: Refusal, _ connection: Waiting, _ director: LaunchDirector) {
    if refusal != .silent { note(connection.peer, refusal.cause, director) }
    try? ServerSocket.write([HandoffMessage.rejected], to: connection.socket.number)
  }

  /// The one message and its one descriptor. Whatever else came is closed.
  private borrowing func receive(_ connection: Waiting) throws(Refusal) -> Handed {
    var bytes = [UInt8](repeating: 0, count: 64)
    var descriptors = [Int32](repeating: -1, count: 8)
    var count: Int32 = 0
    var truncated: Int32 = 0
    // SAFETY: all four live across the call, with the capacities that it is told.
    let received = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe descriptors.withUnsafeMutableBufferPointer { descriptors in
        unsafe clinux_receive_fds(
          connection.socket.number, bytes.baseAddress, bytes.count, descriptors.baseAddress, 8, &count,
          &truncated)
      }
    }
    let held = descriptors.prefix(Int(count)).map { ReceivedListener(FileDescriptor(owning: $0)) }
    if received == 0 { throw .silent }
    guard received > 0 else { throw Refusal("it cannot be received: \(errnoText(Int32(-received)))") }
    guard truncated == 0, held.count == 1, let listener = held.first else {
      throw Refusal("\(held.count) descriptors came, one is due")
    }
    let message: HandoffMessage
    do throws(WireError) { message = try HandoffMessage(Array(bytes.prefix(Int(received)))) } catch {
      throw Refusal("not a hand-off message: \(error)")
    }
    try check(message)
    // A listener has no notification number 0 (ENOENT); anything else does not know the call (ENOTTY).
    guard clinux_notif_id_valid(listener.number, 0) == -Int(ENOENT) else {
      throw Refusal("the descriptor is not a seccomp listener")
    }
    return Handed(socket: connection.socket, peer: connection.peer, message: message, listener: listener)
  }

  private borrowing func check(_ message: HandoffMessage) throws(Refusal) {
    switch message {
    case .supervise(_, let given):
      guard supervise else { throw Refusal("the daemon starts the supervisor of this launch itself") }
      guard equalsInConstantTime(given, token) else { throw Refusal("the token is wrong") }
    case .current(_, let given?):
      guard equalsInConstantTime(given, token) else { throw Refusal("the token is wrong") }
    case .current(_, nil), .old: return
    }
  }
}

/// Why a connection is turned away.
struct Refusal: Error, Equatable {
  let cause: String
  /// It closed without a word: not worth an event.
  static let silent = Refusal("")
  init(_ cause: String) { self.cause = cause }
}
