import AgentshSession
import LinuxSystem
import NIOCore
import NIOPosix
import Synchronization

/// How many connections each user has open.
final class ConnectionCounts: Sendable {
  private let limit: Int
  private let counts = Mutex<[UInt32: Int]>([:])

  init(limit: Int) { self.limit = limit }

  func enter(_ uid: UInt32) -> Bool {
    counts.withLock { counts in
      guard counts[uid, default: 0] < limit else { return false }
      counts[uid, default: 0] += 1
      return true
    }
  }

  func leave(_ uid: UInt32) {
    counts.withLock { counts in
      let left = counts[uid, default: 0] - 1
      counts[uid] = left > 0 ? left : nil
    }
  }
}

/// Counts a connection from its first moment: one that says nothing uses up a descriptor as well. Over the limit it is
/// answered 429 and closed before anything is read.
final class ConnectionLimit: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = Any

  private let counts: ConnectionCounts
  private var uid: UInt32?
  private var isRefused = false

  init(_ counts: ConnectionCounts) { self.counts = counts }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { admit(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    admit(context)
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if !isRefused { context.fireChannelRead(data) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    if let uid { counts.leave(uid) }
    uid = nil
    context.fireChannelInactive()
  }

  private func admit(_ context: ChannelHandlerContext) {
    guard uid == nil, !isRefused else { return }
    let operations = context.pipeline.syncOperations
    let isAdmitted = try? operations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
      number throws -> Bool in
      let peer = try ServerSocket.peer(of: number)
      if counts.enter(peer.uid) {
        uid = peer.uid
        return true
      }
      // Nothing is queued on a connection this young, so it may be written to directly.
      try? ServerSocket.write(Self.answer, to: number)
      return false
    }
    if isAdmitted == true { return }
    isRefused = true
    context.close(promise: nil)
  }

  private static let answer: [UInt8] = {
    let body = #"{"code":"limit","error":"you have too many connections open","hint":"limits.connections"}"#
    let head =
      "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close\r\n"
      + "content-length: \(body.utf8.count)\r\n\r\n"
    return Array((head + body).utf8)
  }()
}
