import Glibc
import Synchronization

/// The other end of a connection: says fixed bytes whenever a whole request has come, and keeps what it was sent.
final class ScriptedServer: Sendable {
  let client: Int32
  private let received = Mutex<[UInt8]>([])
  private let thread = Mutex<pthread_t?>(nil)

  /// - Parameter answers: one per request; after the last the connection is closed.
  init(_ answers: [String]) {
    var ends: [Int32] = [0, 0]
    precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    client = ends[0]
    let server = ends[1]
    let job = Job { [self] in
      for answer in answers {
        guard read(server) else { break }
        _ = answer.withCString { write(server, $0, strlen($0)) }
      }
      close(server)
    }
    var id = pthread_t()
    pthread_create(
      &id, nil,
      {
        Unmanaged<Job>.fromOpaque($0!).takeRetainedValue().body(); return nil
      },
      Unmanaged.passRetained(job).toOpaque())
    let started = id
    thread.withLock { $0 = started }
  }

  /// What came until the end, as text.
  func transcript() -> String {
    if let id = thread.withLock({ $0 }) { pthread_join(id, nil) }
    return received.withLock { String(decoding: $0, as: UTF8.self) }
  }

  /// Reads one request: a head, and the body that its content-length says. False at end of file.
  private func read(_ socket: Int32) -> Bool {
    var request: [UInt8] = []
    var byte: UInt8 = 0
    while !request.suffix(4).elementsEqual("\r\n\r\n".utf8) {
      guard Glibc.read(socket, &byte, 1) == 1 else { return false }
      request.append(byte)
    }
    let head = String(decoding: request, as: UTF8.self).lowercased()
    let length =
      head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
      .flatMap { Int($0.dropFirst("content-length:".count).drop { $0 == " " }) } ?? 0
    for _ in 0..<length {
      guard Glibc.read(socket, &byte, 1) == 1 else { return false }
      request.append(byte)
    }
    received.withLock { $0 += request }
    return true
  }

  private final class Job {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }
}
