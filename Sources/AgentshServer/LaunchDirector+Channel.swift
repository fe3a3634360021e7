import AgentshAudit
import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem
import Logging

extension LaunchDirector {
  /// How long a supervisor whose connection broke is waited for before it counts as dead or away.
  static let deathMilliseconds = 300
  /// How long one that has nothing more to say is waited for.
  static let endMilliseconds = 100

  /// Serves a new supervisor: welcome, ready within its time, events until the end. Returns when the launch is over or
  /// another connection has taken it over.
  func serve(_ launch: Launch, _ socket: SharedDescriptor, onReady: @escaping @Sendable () -> Void) {
    let generation = launch.attach(socket)
    do throws(SystemCallError) { try launch.send(frame(.welcome, launch.welcome)) } catch {
      // One that has ended already may have said why.
      guard error.errno == EPIPE else {
        return close(launch, socket, generation, "the policy cannot be sent: \(error)")
      }
    }
    run(launch, socket, generation, awaitsReady: true, onReady: onReady)
  }

  /// The frames of one connection. Anything that is not due ends it (OpenSSH's monitor table).
  func run(
    _ launch: Launch, _ socket: SharedDescriptor, _ generation: Int, awaitsReady: Bool,
    onReady: @Sendable () -> Void
  ) {
    defer { dropApprovals(launch, upTo: generation) }
    var reader = FrameReader(socket)
    var awaitsReady = awaitsReady
    let deadline = monotonicClock() + Self.readySeconds * 1_000_000_000
    do throws(ChannelEnd) {
      while true {
        let (kind, payload) = try next(&reader, awaitsReady ? deadline : nil)
        switch kind {
        case .ready where awaitsReady:
          let ready: Ready = try decode(payload)
          perform(launch.session.apply(.ready(degraded: ready.degraded), to: launch.id), launch)
          awaitsReady = false
          onReady()
          launch.events.expect()
        case .events where !awaitsReady: try take(payload, launch)
        case .approvalRequest where !awaitsReady && payload.count <= ApprovalRequest.sizeLimit:
          guard ask(try decode(payload), launch, generation) else {
            throw ChannelEnd("bad frame: an approval that was asked for already")
          }
        case .approvalWithdrawn where !awaitsReady: withdraw(try decode(payload), launch, generation)
        case .finished where !awaitsReady:
          let finished: Finished = try decode(payload)
          guard launch.detach(generation, isFinished: true) else { return }
          // Somebody waits for its end, and nobody for what is left to be done here.
          if let supervisor = launch.supervisor {
            _ = waitForAny([supervisor.number], milliseconds: Self.endMilliseconds)
          }
          perform(launch.session.apply(.finished(finished), to: launch.id), launch)
          return reap(launch)
        case .failed:
          let reason: String = try decode(payload)
          guard launch.detach(generation) else { return }
          perform(launch.session.apply(.failed(reason: reason), to: launch.id), launch)
          return reap(launch)
        default: throw ChannelEnd("bad frame: \(kind) is not due")
        }
      }
    } catch {
      // Closing waits for a supervisor that goes on alone.
      dropApprovals(launch, upTo: generation)
      close(launch, socket, generation, error.cause)
    }
  }

  private func next(
    _ reader: inout FrameReader, _ deadline: UInt64?
  ) throws(ChannelEnd) -> (FrameKind, [UInt8]) {
    do throws(FrameReader.Failure) { return try reader.next(deadline: deadline) } catch {
      throw ChannelEnd("\(error)")
    }
  }

  private func decode<T: WireCodable>(_ payload: [UInt8], as: T.Type = T.self) throws(ChannelEnd) -> T {
    do throws(WireError) {
      var reader = WireReader(payload)
      let value = try reader.value(T.self)
      try reader.finish()
      return value
    } catch { throw ChannelEnd("bad frame: \(error)") }
  }

  // MARK: events

  /// Onto the disk as it came, then `stored`. While that fails, nothing more is read: the supervisor keeps its events,
  /// and in the end holds up the calls that would make more.
  private func take(_ payload: [UInt8], _ launch: Launch) throws(ChannelEnd) {
    let batch: (last: UInt64?, count: Int)
    do throws(WireError) { batch = try check(payload) } catch {
      throw ChannelEnd("bad frame: \(error)")
    }
    guard let last = batch.last else { return }
    throttle(batch.count, launch)
    var isFirstTry = true
    while true {
      do throws(AuditError) {
        try launch.events.append(payload)
        break
      } catch {
        if isFirstTry {
          services.logger.error("session \(launch.session.details.id): \(error); trying again")
        }
        isFirstTry = false
        if launch.isReleased { throw ChannelEnd("the session ended while events could not be stored") }
        _ = waitForAny([], milliseconds: EventIntake.retryMilliseconds)
      }
    }
    do throws(SystemCallError) { try launch.send(frame(.stored, last)) } catch {
      throw ChannelEnd("the supervisor does not read: \(error)")
    }
  }

  /// The number of the last record of a batch, nil when it is empty. Throws for a payload that is no batch.
  private func check(_ payload: [UInt8]) throws(WireError) -> (last: UInt64?, count: Int) {
    let (first, count) = try EventBatch.check(payload)
    guard count > 0 else { return (nil, 0) }
    let (last, overflow) = first.addingReportingOverflow(UInt64(count - 1))
    guard first > 0, !overflow, last <= UInt64(Int64.max) else {
      throw .badValue(offset: 0, what: "event number")
    }
    return (last, count)
  }

  // MARK: the end of a connection

  private func close(_ launch: Launch, _ socket: SharedDescriptor, _ generation: Int, _ cause: String) {
    guard launch.detach(generation) else { return }
    // The supervisor learns of it at once (SHUT_RDWR); the descriptor goes when its last holder does.
    rawCall(Int(SYS_shutdown), Int(socket.number), 2)
    if let supervisor = launch.supervisor,
      waitForAny([supervisor.number], milliseconds: Self.deathMilliseconds).isEmpty
    {
      perform(launch.session.apply(.channelClosed(cause: cause), to: launch.id), launch)
      if launch.isReleased, launch.isSpawned { sendSignal(supervisor.number, SIGKILL) }
      watch(launch, generation)
    } else {
      bury(launch)
    }
  }

  /// Until the supervisor is back on another connection, or dead. It decides on alone meanwhile.
  func watch(_ launch: Launch, _ generation: Int) {
    guard let supervisor = launch.supervisor else { return bury(launch) }
    while launch.isCurrent(generation) {
      if !waitForAny([supervisor.number], milliseconds: 1000).isEmpty {
        if launch.isCurrent(generation) { bury(launch) }
        return
      }
    }
    if launch.isReleased { reap(launch) }
  }

  /// The supervisor is dead: what it left on disk is taken, and nobody goes on without it.
  func bury(_ launch: Launch) {
    perform(launch.session.apply(.supervisorDied, to: launch.id), launch)
    takeSpool(launch)
    reap(launch)
  }

  /// Takes our own child's status, so that it does not stay behind; blocks until it has ended. `waitid(2)`, P_PIDFD
  private func reap(_ launch: Launch) {
    guard launch.isSpawned, let supervisor = launch.supervisor else { return }
    _ = waitForAny([supervisor.number], milliseconds: -1)
    // WEXITED
    _ = rawCall(Int(SYS_waitid), 3, Int(supervisor.number), 0, 4, 0)
  }

  /// Events that the dead supervisor had not brought yet. The same format as on the channel, and trusted as little.
  private func takeSpool(_ launch: Launch) {
    let path = launch.welcome.spoolPath
    let limit = Int(clamping: launch.welcome.spoolLimit) + FrameHeader.spoolExcess
    let bytes: [UInt8]
    switch readAll(path, limit: limit) {
    case .success(let all): bytes = all
    case .failure(let error):
      // None was needed, mostly.
      if error.errno != ENOENT {
        services.logger.error("session \(launch.session.details.id): \(path) is kept: \(error)")
      }
      return
    }
    defer { launch.events.finish() }
    var at = 0
    while at < bytes.count {
      guard let payload = batch(in: bytes, at: &at) else {
        services.logger.error(
          "session \(launch.session.details.id): \(path) is kept: no event frame at byte \(at)")
        return
      }
      do throws(AuditError) { try launch.events.append(payload) } catch {
        // The file stays for the person who looks.
        services.logger.error("session \(launch.session.details.id): \(path) is kept: \(error)")
        return
      }
    }
    _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
  }

  /// Where nothing waits in it: the file was made for a time without a daemon.
  func removeEmptySpool(_ launch: Launch) {
    var status = stat()
    let path = PathText(launch.welcome.spoolPath)
    guard statAt(AT_FDCWD, path, &status, flags: AT_SYMLINK_NOFOLLOW) == 0,
      FileType(mode: status.st_mode) == .regular, status.st_size == 0
    else { return }
    _ = unlinkAt(AT_FDCWD, path, flags: 0)
  }

  /// The batch of the frame at `at`, which moves behind it; nil, and `at` as it was, when there is none.
  private func batch(in bytes: [UInt8], at: inout Int) -> [UInt8]? {
    let start = at + FrameHeader.size
    guard start < bytes.count, let header = try? FrameHeader(Array(bytes[at..<start])),
      header.kind == .events,
      start + header.length <= bytes.count
    else { return nil }
    let payload = Array(bytes[start..<(start + header.length)])
    do throws(WireError) { _ = try check(payload) } catch { return nil }
    at = start + header.length
    return payload
  }
}

/// Why a connection is over.
private struct ChannelEnd: Error {
  let cause: String
  init(_ cause: String) { self.cause = cause }
}
