import AgentshAudit
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Synchronization

/// One start of a program, with the descriptors that belong to it.
final class Launch: Sendable {
  let id: LaunchID
  let session: LiveSession
  let welcome: Welcome
  /// Ptrace mode.
  let isTraced: Bool
  /// For a client that starts the agent before it is supervised; nil: that is refused.
  let restart: RestartPlan?
  /// Where its events go.
  let events: StreamIntake

  private struct State: ~Copyable {
    var supervisor: SharedDescriptor?
    var target: SharedDescriptor?
    var channel: SharedDescriptor?
    /// Where the hand-off socket is, until the listener has come.
    var place: HandoffPlace?
    /// The socket, as long as somebody may wait at it.
    var handoff: SharedDescriptor?
    /// A second hold on the filter's listener: what the tree asks when its supervisor is gone comes to us.
    var listener: ReceivedListener?
    /// The control group that its tree is in, where there can be one.
    var group: LaunchGroup?
    /// Counts connections: a thread that served an older one leaves the launch to the newer.
    var generation = 0
    var isSpawned = false
    var isReleased = false
    /// Its supervisor has said that nobody of the tree is left.
    var isFinished = false
  }
  private let state = Mutex(State())
  /// Held while a frame is written, so that frames do not mix.
  private let writing = Mutex(())

  init(
    id: LaunchID, session: LiveSession, welcome: Welcome, isTraced: Bool = false, restart: RestartPlan? = nil,
    intake: EventIntake
  ) {
    self.restart = restart
    self.isTraced = isTraced
    self.id = id
    self.session = session
    self.welcome = welcome
    let head = IntakeHead.supervisor(
      stream: id.number, owner: session.details.ownerUID, sessionID: session.details.id,
      rules: welcome.policy)
    events = StreamIntake(intake, stream: id.number, source: head.source) { head.bytes }
  }

  /// What comes over its hand-off socket.
  var due: HandoffDue { !isTraced ? .listener : restart == nil ? .handle : .handleOrPid }

  /// pidfds of the supervisor and of the program's first process. `spawned`: the supervisor is our child.
  func setProcesses(supervisor: SharedDescriptor?, target: SharedDescriptor?, spawned: Bool) {
    state.withLock { state in
      state.supervisor = supervisor
      state.target = target
      state.isSpawned = spawned
    }
  }

  var supervisor: SharedDescriptor? { state.withLock { $0.supervisor } }
  var target: SharedDescriptor? { state.withLock { $0.target } }
  var isSpawned: Bool { state.withLock { $0.isSpawned } }
  var generation: Int { state.withLock { $0.generation } }
  var isReleased: Bool { state.withLock { $0.isReleased } }
  /// The death of its supervisor is none to act on.
  var isOver: Bool { state.withLock { $0.isReleased || $0.isFinished } }

  func hold(_ listener: ReceivedListener) { state.withLock { $0.listener = listener } }
  func takeListener() -> ReceivedListener? { state.withLock { $0.listener.take() } }

  func setGroup(_ group: LaunchGroup?) { state.withLock { $0.group = group } }
  var group: LaunchGroup? { state.withLock { $0.group } }

  func setHandoff(_ listener: SharedDescriptor, at place: consuming HandoffPlace) {
    var place = Optional(place)
    state.withLock { state in
      state.handoff = listener
      state.place = place.take()
    }
  }

  /// Nobody else is to find the hand-off socket.
  func removePlace() {
    let place = state.withLock { $0.place.take() }
    place?.remove()
  }

  /// The launch is over. True the first time. Who waits at its hand-off socket is woken.
  func release() -> Bool {
    let (isFirst, handoff) = state.withLock { state in
      defer {
        state.isReleased = true
        state.handoff = nil
        state.listener = nil
      }
      return (!state.isReleased, state.handoff)
    }
    // SHUT_RDWR
    if let handoff { rawCall(Int(SYS_shutdown), Int(handoff.number), 2) }
    return isFirst
  }

  /// A new connection. An older one is shut, so that its thread comes back from reading. Returns the generation.
  func attach(_ channel: SharedDescriptor) -> Int {
    let (generation, old) = state.withLock { state in
      state.generation += 1
      let old = state.channel
      state.channel = channel
      return (state.generation, old)
    }
    // SHUT_RDWR
    if let old { rawCall(Int(SYS_shutdown), Int(old.number), 2) }
    return generation
  }

  /// False when a newer connection has taken over.
  func detach(_ generation: Int, isFinished: Bool = false) -> Bool {
    state.withLock { state in
      guard state.generation == generation else { return false }
      state.channel = nil
      state.isFinished = isFinished
      return true
    }
  }

  func isCurrent(_ generation: Int) -> Bool {
    state.withLock { $0.generation == generation && !$0.isReleased }
  }

  /// Writes a frame; blocks at most as long as the socket allows. Throws EPIPE without a connection.
  func send(_ frame: [UInt8]) throws(SystemCallError) {
    guard let channel = state.withLock({ $0.channel }) else { throw SystemCallError("send", EPIPE) }
    let failure: SystemCallError? = writing.withLock { _ in
      do throws(SystemCallError) {
        try ServerSocket.write(frame, to: channel.number)
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }
}
