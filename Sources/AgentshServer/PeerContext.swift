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

  /// Bodies are collected by hand; this holds for what Hummingbird decodes itself.
  var maxUploadSize: Int { Self.bodyLimit }
  static let bodyLimit = 4 << 20

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }

  /// Who the kernel says is on the other side. SO_PEERCRED, `unix(7)`
  func readCaller() async throws(SessionError) -> Caller {
    try await withSocket("who calls cannot be read") { number throws(SystemCallError) in
      try ServerSocket.peer(of: number)
    }
  }

  /// A pidfd of the caller's process.
  func callerPidfd(_ caller: Caller) async throws(SessionError) -> SharedDescriptor {
    try await withSocket("your process cannot be held") { number throws(SystemCallError) in
      SharedDescriptor(try ServerSocket.peerPidfd(of: number, pid: caller.pid))
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

  /// The caller, in a route.
  var sender: Caller {
    get throws(SessionError) {
      guard let caller else { throw .failed("the caller is not known") }
      return caller
    }
  }
}
