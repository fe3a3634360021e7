package import AgentshAPI

/// Why a request about sessions is refused: what the API answers.
package struct SessionError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Status: Int, Sendable {
    case badRequest = 400, forbidden = 403, notFound = 404, conflict = 409, tooMany = 429, failed = 500
    case unavailable = 503
  }
  package let status: Status
  package let code: ErrorBody.Code
  package let text: String
  package let hint: String?

  package init(_ status: Status, _ code: ErrorBody.Code, _ text: String, hint: String? = nil) {
    self.status = status
    self.code = code
    self.text = text
    self.hint = hint
  }

  package var description: String { text }
  package var body: ErrorBody { ErrorBody(error: text, code: code, hint: hint) }

  /// Also for somebody else's session: that it exists is not told.
  package static let notFound = SessionError(.notFound, .notFound, "session not found")

  package static func badRequest(_ text: String, hint: String? = nil) -> SessionError {
    SessionError(.badRequest, .badRequest, text, hint: hint)
  }
  package static func forbidden(_ text: String) -> SessionError { SessionError(.forbidden, .forbidden, text) }
  package static func workspace(_ text: String, hint: String? = nil) -> SessionError {
    SessionError(.badRequest, .workspace, text, hint: hint)
  }
  /// One of the caller's own limits is reached. `limit`: its key in the configuration.
  package static func tooMany(_ text: String, limit: String, _ hint: String? = nil) -> SessionError {
    let key = "the operator's limit is limits.\(limit)"
    return SessionError(.tooMany, .limit, text, hint: hint.map { "\($0); \(key)" } ?? key)
  }
  package static func limit(_ text: String, hint: String? = nil) -> SessionError {
    SessionError(.unavailable, .limit, text, hint: hint)
  }
  package static func failed(_ text: String) -> SessionError { SessionError(.failed, .failed, text) }
}
