import CLinux
import LinuxSystem

/// One connection to the daemon, used for several requests, one after the other. Calls block.
///
/// Not NIO: a thread, an event loop and their hand-overs take longer than all the rest of `wrap` before the launch, NIO
/// ignores SIGPIPE for the whole process (which the agent would inherit), and this process forks and becomes another.
package final class HTTPConnection {
  private let socket: FileDescriptor
  private var reader = AnswerReader()
  private var isUsable = true

  /// Takes ownership of a connected stream socket whose peer was checked.
  package init(owning socket: Int32) { self.socket = FileDescriptor(owning: socket) }

  /// Sends the request and waits for the whole answer.
  package func send(_ request: HTTPRequest) throws(ClientError) -> HTTPAnswer {
    try ask(request)
    return try answer()
  }

  /// Sends the request; `answer` is due next, also in a child of this process instead of it. At most `seconds` for each part
  /// of the answer; 0: any time.
  package func ask(_ request: HTTPRequest, seconds: Int = 30) throws(ClientError) {
    guard isUsable else { throw .transport("it was closed after an earlier answer") }
    // Until the answer is complete, what comes next on this connection is not known.
    isUsable = false
    do throws(SystemCallError) {
      try UnixSocket.setTimeout(socket, SO_RCVTIMEO, seconds: seconds)
      try write(request.bytes)
    } catch { throw .transport("\(error)") }
  }

  /// Waits for the whole answer to what was asked.
  package func answer() throws(ClientError) -> HTTPAnswer { try answer(sink: nil) }

  /// Sends the request and hands on the body of a 200 as it comes; returns when the other side ends it. Other answers are
  /// returned whole.
  package func stream(
    _ request: HTTPRequest, _ sink: @escaping ([UInt8]) -> Void
  ) throws(ClientError) -> HTTPAnswer {
    try ask(request, seconds: 0)
    return try answer(sink: sink)
  }

  private func answer(sink: (([UInt8]) -> Void)?) throws(ClientError) -> HTTPAnswer {
    do throws(HTTPError) {
      var answer = HTTPAnswer(status: 0, contentType: "", body: [])
      var chunk = [UInt8](repeating: 0, count: 16 * 1024)
      while true {
        for part in try reader.parts() {
          switch part {
          case .head(let status, let contentType):
            answer.status = status
            answer.contentType = contentType
          case .body(let bytes):
            if let sink, answer.status == 200 {
              sink(bytes)
              continue
            }
            guard answer.body.count + bytes.count <= HTTPAnswer.bodyLimit else { throw .tooLong }
            answer.body += bytes
          case .end(let reusable):
            isUsable = reusable
            return answer
          }
        }
        try reader.feed(chunk[..<read(into: &chunk)])
      }
    } catch { throw .transport(error.description) }
  }

  private func write(_ bytes: [UInt8]) throws(SystemCallError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let number = socket.number
      let count = retryingInterrupt {
        // SAFETY: `rest` lives across the call, which only reads it.
        unsafe rest.withUnsafeBytes {
          rawCall(
            Int(SYS_sendto), Int(number), Int(bitPattern: $0.baseAddress), $0.count, Int(MSG_NOSIGNAL))
        }
      }
      rest = rest.dropFirst(try check("send", count))
    }
  }

  /// 0 at the end.
  private func read(into chunk: inout [UInt8]) throws(HTTPError) -> Int {
    let number = socket.number
    let count = retryingInterrupt {
      // SAFETY: the kernel writes at most the buffer's size.
      unsafe chunk.withUnsafeMutableBytes {
        rawCall(Int(SYS_read), Int(number), Int(bitPattern: $0.baseAddress), $0.count)
      }
    }
    if count == -Int(EAGAIN) { throw .timeout }
    guard count >= 0 else { throw .broken(errnoText(Int32(-count))) }
    return count
  }
}

/// Why an answer could not be read.
package enum HTTPError: Error, CustomStringConvertible {
  case timeout, closed, tooLong, notHTTP(String), broken(String)

  package var description: String {
    switch self {
    case .timeout: "no answer in time"
    case .closed: "it was closed before the answer was complete"
    case .tooLong: "the answer has more than \(HTTPAnswer.bodyLimit >> 20) MiB"
    case .notHTTP(let reason): "not an answer of HTTP/1.1: \(reason)"
    case .broken(let reason): reason
    }
  }
}
