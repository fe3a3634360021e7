/// The body of every answer that is not 2xx.
package struct ErrorBody: Codable, Sendable, Equatable {
  /// The sentence for people.
  package var error: String
  /// The stable word for programs.
  package var code: Code?
  /// What to do about it.
  package var hint: String?

  package init(error: String, code: Code? = nil, hint: String? = nil) {
    self.error = error
    self.code = code
    self.hint = hint
  }

  /// Words that clients may rely on; unknown ones decode too, so that a newer daemon is understood.
  package struct Code: RawRepresentable, Codable, Sendable, Hashable {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
    /// 400: not JSON, a field missing, of another type, unknown or not honoured.
    package static let badRequest = Code(rawValue: "bad_request")
    /// 400: the policy does not load; `error` says file, line and column.
    package static let policyInvalid = Code(rawValue: "policy_invalid")
    /// 400
    package static let policyNotFound = Code(rawValue: "policy_not_found")
    /// 400: the workspace is missing, no directory, or not open to the caller.
    package static let workspace = Code(rawValue: "workspace")
    /// 403: the caller may not.
    package static let forbidden = Code(rawValue: "forbidden")
    /// 403: the caller is a process of a session.
    package static let insideSession = Code(rawValue: "inside_session")
    /// 403: the policy denies the command itself; `error` names the rule.
    package static let commandDenied = Code(rawValue: "command_denied")
    /// 404: no such thing, or somebody else's.
    package static let notFound = Code(rawValue: "not_found")
    /// 409
    package static let exists = Code(rawValue: "exists")
    /// 429, 503: a limit is reached.
    package static let limit = Code(rawValue: "limit")
    /// 503: a mechanism that the policy needs is missing; `error` names it.
    package static let mechanism = Code(rawValue: "mechanism")
    /// 409: the client is to try whether it can have a seccomp listener, and to ask again with `listener`.
    package static let listenerUntried = Code(rawValue: "listener_untried")
    /// 500
    package static let failed = Code(rawValue: "failed")

    package init(from decoder: any Decoder) throws {
      rawValue = try decoder.singleValueContainer().decode(String.self)
    }
    package func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(rawValue)
    }
  }
}

/// A key whose name is known when it is read.
private struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// Throws when the object has a key that `Keys` lacks: what is not understood is not ignored.
func refuseUnknownFields<Keys: CodingKey & CaseIterable>(of: Keys.Type, in decoder: any Decoder) throws {
  let known = Set(Keys.allCases.map(\.stringValue))
  let given = try decoder.container(keyedBy: AnyKey.self)
  for key in given.allKeys where !known.contains(key.stringValue) {
    throw DecodingError.dataCorruptedError(
      forKey: key, in: given, debugDescription: "unknown field \"\(key.stringValue)\"")
  }
}
