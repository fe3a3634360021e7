import NIOCore
import NIOHTTP1
import NIOPosix

/// One connection to the daemon, used for several requests, one after the other. Calls block.
///
/// The socket was connected and its peer checked before it comes here: NIO only speaks HTTP on it.
package final class HTTPConnection {
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel

  package init(owning socket: Int32) throws(ClientError) {
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      channel = try ClientBootstrap(group: group)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
            try channel.pipeline.syncOperations.addHandler(ExchangeHandler())
          }
        }
        .withConnectedSocket(socket)
        .wait()
    } catch {
      throw .transport("\(error)")
    }
  }

  /// Sends the request and waits for the whole answer, at most `seconds`.
  package func send(_ request: HTTPRequest, seconds: Int64 = 30) throws(ClientError) -> HTTPAnswer {
    try exchange(request, limit: .seconds(seconds), sink: nil)
  }

  /// Sends the request and hands on the body of a 200 as it comes; returns when the other side ends it. Other answers are
  /// returned whole.
  package func stream(
    _ request: HTTPRequest, _ sink: @escaping @Sendable ([UInt8]) -> Void
  ) throws(ClientError) -> HTTPAnswer {
    try exchange(request, limit: nil, sink: sink)
  }

  private func exchange(
    _ request: HTTPRequest, limit: TimeAmount?, sink: (@Sendable ([UInt8]) -> Void)?
  ) throws(ClientError) -> HTTPAnswer {
    let answer = channel.eventLoop.makePromise(of: HTTPAnswer.self)
    let timer = limit.map { limit in
      channel.eventLoop.scheduleTask(in: limit) { answer.fail(ExchangeError.timeout) }
    }
    defer { timer?.cancel() }
    channel.writeAndFlush(Exchange(request: request, answer: answer, sink: sink), promise: nil)
    do { return try answer.futureResult.wait() } catch { throw .transport("\(error)") }
  }

  /// Ends the connection and its thread, and waits until both are gone.
  package func close() {
    try? channel.close().wait()
    try? group.syncShutdownGracefully()
  }

  deinit {
    channel.close(promise: nil)
    group.shutdownGracefully { _ in }
  }
}

/// One request on its way, and who waits for the answer.
private struct Exchange: Sendable {
  let request: HTTPRequest
  let answer: EventLoopPromise<HTTPAnswer>
  let sink: (@Sendable ([UInt8]) -> Void)?
}

private enum ExchangeError: Error, CustomStringConvertible {
  case timeout, closed, busy, tooLong

  var description: String {
    switch self {
    case .timeout: "no answer in time"
    case .closed: "it was closed before the answer was complete"
    case .busy: "another request is under way"
    case .tooLong: "the answer has more than \(HTTPAnswer.bodyLimit >> 20) MiB"
    }
  }
}

/// Writes a request and collects its answer. Lives on the channel's event loop alone.
private final class ExchangeHandler: ChannelDuplexHandler {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundIn = Exchange
  typealias OutboundOut = HTTPClientRequestPart

  private var current: Exchange?
  private var answer = HTTPAnswer(status: 0, contentType: "", body: [])

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let exchange = unwrapOutboundIn(data)
    guard current == nil else { return exchange.answer.fail(ExchangeError.busy) }
    guard context.channel.isActive else { return exchange.answer.fail(ExchangeError.closed) }
    current = exchange
    answer = HTTPAnswer(status: 0, contentType: "", body: [])
    context.write(wrapOutboundOut(.head(Self.head(of: exchange.request))), promise: nil)
    if !exchange.request.body.isEmpty {
      context.write(
        wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: exchange.request.body)))), promise: nil)
    }
    context.write(wrapOutboundOut(.end(nil)), promise: promise)
  }

  private static func head(of request: HTTPRequest) -> HTTPRequestHead {
    var headers: HTTPHeaders = ["Host": "localhost", "Accept": request.accept, "User-Agent": "agentsh"]
    if !request.body.isEmpty { headers.add(name: "Content-Type", value: "application/json") }
    if request.method == .post { headers.add(name: "Content-Length", value: String(request.body.count)) }
    return HTTPRequestHead(
      version: .http1_1, method: HTTPMethod(rawValue: request.method.rawValue), uri: request.target,
      headers: headers)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard let exchange = current else { return context.close(promise: nil) }
    switch unwrapInboundIn(data) {
    case .head(let head):
      answer.status = Int(head.status.code)
      answer.contentType = head.headers.first(name: "content-type") ?? ""
    case .body(let part):
      let bytes = Array(part.readableBytesView)
      if let sink = exchange.sink, answer.status == 200 { return sink(bytes) }
      guard answer.body.count + bytes.count <= HTTPAnswer.bodyLimit else {
        return fail(context, ExchangeError.tooLong)
      }
      answer.body += bytes
    case .end:
      current = nil
      exchange.answer.succeed(answer)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(context, error) }

  func channelInactive(context: ChannelHandlerContext) {
    fail(context, ExchangeError.closed)
    context.fireChannelInactive()
  }

  private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
    current?.answer.fail(error)
    current = nil
    context.close(promise: nil)
  }
}
