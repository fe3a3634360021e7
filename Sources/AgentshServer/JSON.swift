import AgentshAPI
import AgentshSession
import Foundation
import Hummingbird
import NIOCore

/// An answer with a JSON body.
func response(_ status: Int, _ body: some Encodable) -> Response {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
  do {
    let data = try encoder.encode(body)
    return response(status, bytes: ByteBuffer(bytes: data))
  } catch {
    return response(
      500, bytes: ByteBuffer(string: #"{"error":"the answer cannot be encoded","code":"failed"}"#))
  }
}

func response(_ status: Int, bytes: ByteBuffer) -> Response {
  Response(
    status: .init(code: status), headers: [.contentType: "application/json"],
    body: ResponseBody(byteBuffer: bytes))
}

func response(text: String) -> Response {
  Response(
    status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
    body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
}

/// The request's body. Throws 400 with the place and the cause.
func decode<T: Decodable>(_ type: T.Type, _ request: Request) async throws -> T {
  var request = request
  let buffer = try await request.collectBody(upTo: PeerContext.bodyLimit)
  do {
    return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
  } catch let error as DecodingError {
    throw SessionError.badRequest(text(error))
  }
}

private func text(_ error: DecodingError) -> String {
  func at(_ context: DecodingError.Context) -> String {
    let path = context.codingPath.map(\.stringValue).joined(separator: ".")
    return path.isEmpty ? "" : "\(path): "
  }
  return switch error {
  case .keyNotFound(let key, let context): "\(at(context))the field \"\(key.stringValue)\" is missing"
  case .typeMismatch(_, let context): "\(at(context))wrong type: \(context.debugDescription)"
  case .valueNotFound(_, let context): "\(at(context))null is no value here"
  case .dataCorrupted(let context): "\(at(context))\(context.debugDescription)"
  @unknown default: "the body is not what it should be"
  }
}
