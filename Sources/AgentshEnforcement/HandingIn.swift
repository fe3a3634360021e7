import AgentshWire
import LinuxSystem

/// What is said to the daemon by a client that became the supervisor. WRAP-PROTOCOL section 3, `HandoffMessage`
struct HandingIn: Sendable {
  let channel: Channel
  private let token: [UInt8]

  /// Connects and asks for the welcome.
  init(_ plan: HandIn) throws(Supervisor.Failure) {
    token = plan.token
    let peer = UnixSocket.Peer(pid: plan.daemonPid, uid: plan.daemonUID)
    do throws(HandOver.Failure) {
      channel = Channel(owning: try HandOver.connect(to: plan.path, peer: peer).release())
      try HandOver.send(HandoffMessage.prepare(token: token).bytes, [], on: channel.descriptor)
    } catch { throw .handOver(error.reason) }
  }

  func awaitAcceptance() throws(Supervisor.Failure) {
    do throws(HandOver.Failure) {
      try HandOver.awaitAcceptance(on: channel.descriptor, HandoffMessage.accepted)
    } catch { throw .handOver(error.reason) }
  }

  /// To be followed by `awaitAcceptance`.
  func give(_ descriptor: Int32, of target: Int32) throws(Supervisor.Failure) {
    let message = HandoffMessage.supervise(pid: target, token: token)
    do throws(HandOver.Failure) {
      try HandOver.send(message.bytes, [descriptor], on: channel.descriptor)
    } catch { throw .handOver(error.reason) }
  }
}
