/// A request of the API's client.
package struct HTTPRequest: Sendable, Equatable {
  package enum Method: String, Sendable { case get = "GET", post = "POST", delete = "DELETE" }

  package var method: Method
  /// With query, percent-encoded.
  package var target: String
  package var accept: String
  package var body: [UInt8]
  package var bodyType: String

  package init(
    _ method: Method, _ target: String, accept: String = "application/json", body: [UInt8] = [],
    bodyType: String = "application/json"
  ) {
    self.bodyType = bodyType
    self.method = method
    self.target = target
    self.accept = accept
    self.body = body
  }

  /// As it goes over the wire. RFC 9112.
  package var bytes: [UInt8] {
    var head =
      "\(method.rawValue) \(target) HTTP/1.1\r\nHost: localhost\r\nAccept: \(accept)\r\nUser-Agent: agentsh\r\n"
    if !body.isEmpty { head += "Content-Type: \(bodyType)\r\n" }
    if method == .post { head += "Content-Length: \(body.count)\r\n" }
    return Array((head + "\r\n").utf8) + body
  }
}

/// The whole of an answer.
package struct HTTPAnswer: Sendable, Equatable {
  package var status: Int
  package var contentType: String
  package var body: [UInt8]
  /// Longer answers end the connection.
  package static let bodyLimit = 64 << 20

  package init(status: Int, contentType: String, body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }
}

/// A query string, `?` and all; empty without values. RFC 3986, section 3.4.
package func queryString(_ pairs: [(String, String?)]) -> String {
  let given = pairs.compactMap { name, value in value.map { percentEncoded(name) + "=" + percentEncoded($0) }
  }
  return given.isEmpty ? "" : "?" + given.joined(separator: "&")
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
package func percentEncoded(_ text: String) -> String {
  var out: [UInt8] = []
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"):
      out.append(byte)
    default:
      let digits = Array("0123456789ABCDEF".utf8)
      out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
  return String(decoding: out, as: UTF8.self)
}
