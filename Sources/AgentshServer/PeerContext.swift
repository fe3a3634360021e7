import AgentshSession
import Hummingbird
import LinuxSystem
import NIOCore
import NIOPosix

/// A request with the process that sent it, as the kernel says it.
struct PeerContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  /// Set by `PeerMiddleware` before any route runs; a request without it is refused.
  var caller: Caller?
  /// A pidfd of the caller's process.
  var process: SharedDescriptor?

  /// Bodies are collected by hand; this holds for what Hummingbird decodes itself.
  var maxUploadSize: Int { Self.bodyLimit }
  static let bodyLimit = 4 << 20

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }

  /// Who the kernel says is on the other side, and that process, held: nil when it is gone. SO_PEERCRED, SO_PEERPIDFD,
  /// `unix(7)`
  func readCaller() async throws(SessionError) -> (Caller, SharedDescriptor?) {
    try await withSocket("who calls cannot be read") { number throws(SystemCallError) in
      let caller = try ServerSocket.peer(of: number)
      guard caller.pid > 0, let pidfd = try? ServerSocket.peerPidfd(of: number, pid: caller.pid) else {
        return (caller, nil)
      }
      return (caller, SharedDescriptor(pidfd))
    }
  }

  /// The descriptor is only safe to use on the channel's own event loop.
  private func withSocket<T: Sendable>(
    _ what: String, _ body: @escaping @Sendable (Int32) throws(SystemCallError) -> T
  ) async throws(SessionError) -> T {
    let channel = channel
    do {
      let result = try await channel.eventLoop.submit { () -> T? in
        try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
          try body($0)
        }
      }.get()
      if let result { return result }
    } catch { throw .failed("\(what): \(error)") }
    throw .failed("\(what): the connection is no socket")
  }

  /// The caller's process, in a route.
  var senderProcess: SharedDescriptor {
    get throws(SessionError) {
      guard let process else { throw .failed("the caller's process is not known") }
      return process
    }
  }

  /// The caller, in a route.
  var sender: Caller {
    get throws(SessionError) {
      guard let caller else { throw .failed("the caller is not known") }
      return caller
    }
  }
}
