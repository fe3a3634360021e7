package import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem

/// A message that came with its listener, and who sent it.
package struct Handed: Sendable {
  package let socket: SharedDescriptor
  package let peer: Caller
  package let frame: HandoffFrame
  /// nil for `ptrace`.
  package let listener: ReceivedListener?
}

/// A connection that was turned away, as it is told to whoever logs it.
package struct TurnedAway: Sendable, Equatable {
  package let peer: Caller
  package let cause: String
  /// Connections of this uid so far, this one among them.
  package let count: Int
}

/// Serves one hand-off socket until the right message has come or the caller is gone. Nobody holds anybody up: strangers
/// are dropped at accept, each connection of the caller's uid has its own deadline, and a wrong one never uses up the
/// caller's. Blocks; a thread of its own runs it.
///
/// Who says `prepare` is answered and waited for on that connection as long as the launch: what it says next is its message.
package struct HandoffLoop: ~Copyable {
  /// Each connection's time, from accept to its one message.
  static let messageSeconds: UInt64 = 5
  /// Connections of the caller's uid that may wait at a time; with one more the oldest goes.
  static let waitingLimit = 16
  /// After so many wrong messages a uid is dropped at accept.
  static let failureLimit = 64
  /// Uids that are told apart; a user may have thousands (subordinate ones).
  static let uidLimit = 16
  /// Connections taken in one turn, between looks at those that wait.
  private static let acceptLimit = 256

  private struct Waiting {
    let socket: SharedDescriptor
    let peer: Caller
    var deadline: UInt64
    var isPrepared = false
  }

  private let kind: HandoffKind
  private let due: HandoffDue
  private let listener: SharedDescriptor
  private let callerUID: UInt32
  private let caller: SharedDescriptor
  private let isOver: @Sendable () -> Bool
  private let onRefusal: @Sendable (TurnedAway) -> Void
  private var waiting: [Waiting] = []
  private var refused: [UInt32: (first: Caller, count: Int)] = [:]
  /// Of uids beyond `uidLimit`.
  private var others = 0
  private var failures = 0

  /// `caller`: a pidfd of who was told the socket's name. `isOver`: asked at least every second. `onRefusal`: called
  /// for each wrong message, and for a wrong uid the first time.
  package init(
    _ kind: HandoffKind, due: HandoffDue = .listener, listener: SharedDescriptor, callerUID: UInt32,
    caller: SharedDescriptor,
    isOver: @escaping @Sendable () -> Bool, onRefusal: @escaping @Sendable (TurnedAway) -> Void
  ) {
    self.kind = kind
    self.due = due
    self.listener = listener
    self.callerUID = callerUID
    self.caller = caller
    self.isOver = isOver
    self.onRefusal = onRefusal
  }

  /// The next message that `check` lets through; nil when the caller has gone or `isOver`. `check` returns what a `prepare` is
  /// answered with, behind the status byte.
  package mutating func next(
    _ check: (HandoffFrame) throws(Refusal) -> [UInt8] = { (_) throws(Refusal) in [] }
  ) -> Handed? {
    while true {
      let ready = waitForAny(
        [caller.number, listener.number] + waiting.map(\.socket.number), milliseconds: 1000)
      if isOver() || ready.contains(0) { return nil }
      let connections = waiting
      waiting = []
      var handed: Handed?
      for (index, connection) in connections.enumerated() {
        guard handed == nil, ready.contains(index + 2) else {
          if monotonicClock() < connection.deadline { waiting.append(connection) }
          continue
        }
        do throws(Refusal) {
          let (frame, listener) = try kind.receive(connection.socket.number, due)
          let answer = try check(frame)
          if case .notify(.prepare) = frame {
            waiting.append(try prepare(connection, answer))
            continue
          }
          if case .notify(.supervise) = frame, !connection.isPrepared {
            throw Refusal("the policy was not asked for first")
          }
          handed = Handed(
            socket: connection.socket, peer: connection.peer, frame: frame, listener: listener)
        } catch { refuse(error, connection) }
      }
      if let handed { return handed }
      if ready.contains(1) { acceptSome() }
    }
  }

  /// How often each uid was turned away, more than once.
  package var repeated: [TurnedAway] {
    var list = refused.values.filter { $0.count > 1 }.map {
      TurnedAway(peer: $0.first, cause: Self.wrongUID($0.first.uid), count: $0.count)
    }
    if others > 0, let any = refused.values.first?.first {
      list.append(TurnedAway(peer: any, cause: "more uids than are told apart", count: others))
    }
    return list
  }

  private mutating func acceptSome() {
    for _ in 0..<Self.acceptLimit {
      let accepted: Int32
      do throws(SystemCallError) {
        guard let socket = try ServerSocket.accept(listener.number) else { return }
        accepted = socket.release()
      } catch {
        // Out of descriptors, perhaps: not in a circle. EINVAL: the launch is over and the socket was shut.
        _ = waitForAny([caller.number], milliseconds: 20)
        return
      }
      let connection = SharedDescriptor(FileDescriptor(owning: accepted))
      guard let peer = try? ServerSocket.peer(of: connection.number) else { continue }
      guard peer.uid == callerUID else {
        dropStranger(peer)
        continue
      }
      guard failures < Self.failureLimit else { continue }
      if waiting.count == Self.waitingLimit {
        // Who has the token stays.
        waiting.remove(at: waiting.firstIndex { !$0.isPrepared } ?? 0)
      }
      waiting.append(
        Waiting(
          socket: connection, peer: peer, deadline: monotonicClock() + Self.messageSeconds * 1_000_000_000))
    }
  }

  private mutating func dropStranger(_ peer: Caller) {
    if let known = refused[peer.uid] {
      refused[peer.uid] = (known.first, known.count + 1)
    } else if refused.count < Self.uidLimit {
      refused[peer.uid] = (peer, 1)
      onRefusal(TurnedAway(peer: peer, cause: Self.wrongUID(peer.uid), count: 1))
    } else {
      others += 1
    }
  }

  private static func wrongUID(_ uid: UInt32) -> String { "uid \(uid) is not the caller's" }

  /// Who has the token is the caller: if it does not read, nobody else waits for that.
  private func prepare(_ connection: Waiting, _ answer: [UInt8]) throws(Refusal) -> Waiting {
    guard !connection.isPrepared else { throw Refusal("the policy was asked for twice") }
    do throws(SystemCallError) {
      try ServerSocket.makeBlocking(connection.socket.number, sendSeconds: LaunchDirector.sendSeconds)
      try ServerSocket.write([HandoffMessage.accepted] + answer, to: connection.socket.number)
    } catch { throw Refusal("the client cannot be answered: \(error)") }
    var prepared = connection
    prepared.isPrepared = true
    prepared.deadline = .max
    return prepared
  }

  private mutating func refuse(_ refusal: Refusal, _ connection: Waiting) {
    if refusal != .silent {
      failures += 1
      onRefusal(TurnedAway(peer: connection.peer, cause: refusal.cause, count: failures))
      if failures == Self.failureLimit {
        let cause = "too many wrong messages; no more are read"
        onRefusal(TurnedAway(peer: connection.peer, cause: cause, count: failures))
      }
    }
    if kind.isAnswered { try? ServerSocket.write([HandoffMessage.rejected], to: connection.socket.number) }
  }
}
