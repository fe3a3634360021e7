import AgentshPolicy
import AgentshWire
import Synchronization

/// What a supervisor makes of its welcome while the launcher is still starting.
final class HeadStart: Sendable {
  let welcome: Welcome
  let policy: Result<CompiledPolicy, PolicyError>
  /// For the first receiver. When it is done it brings it back: the process ends then, and need not be held up by giving memory
  /// back before.
  private let scratch: Mutex<Scratch?>

  /// Blocks until the daemon's first frame is there.
  init(_ channel: Channel) throws(Supervisor.Failure) {
    welcome = try Self.readWelcome(channel)
    do throws(PolicyError) { policy = .success(try CompiledPolicy(welcome.policy)) } catch {
      policy = .failure(error)
    }
    guard case .success(let policy) = policy else {
      scratch = Mutex(nil)
      return
    }
    scratch = Mutex(Scratch(policy: policy, mayBlock: false))
  }

  func takeScratch() -> sending Scratch? { scratch.withLock { $0.take() } }

  func keep(_ used: consuming sending Scratch) {
    var used = Optional(used)
    scratch.withLock { $0 = used.take() }
  }

  private static func readWelcome(_ channel: Channel) throws(Supervisor.Failure) -> Welcome {
    let received: (kind: FrameKind, payload: [UInt8])
    do throws(Channel.Failure) {
      received = try channel.receive()
    } catch {
      throw .channel(error)
    }
    guard received.kind == .welcome else { throw .unexpectedFrame(received.kind) }
    do throws(WireError) {
      var reader = WireReader(received.payload)
      let welcome = try reader.value(Welcome.self)
      try reader.finish()
      return welcome
    } catch {
      throw .welcome(error)
    }
  }
}
