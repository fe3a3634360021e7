import AgentshAPI
import LinuxSystem

/// Which policy a new session has.
package struct PolicySelection: Sendable, Equatable {
  /// A name or a file; nil: the daemon's default.
  package var name: String?
  /// A file that narrows the policy of that name.
  package var with: String?
  package var allowUnenforced = false

  package init() {}

  /// Whether a value of `--policy` means a file.
  package static func isFile(_ value: String) -> Bool {
    value.contains("/") || value.hasSuffix(".yaml") || value.hasSuffix(".yml")
  }

  /// What is wrong with it; nil when nothing is.
  package var problem: String? {
    guard with != nil else { return nil }
    guard let name, !Self.isFile(name) else {
      return "--with narrows a policy that has a name: give that with --policy NAME"
    }
    return nil
  }

  /// A request for a session. A file is read here, with the caller's rights.
  func request(
    workspace: String, _ context: ProcessContext, failingWith code: Int32 = ExitStatus.failed
  ) throws(CommandFailure) -> CreateSessionRequest {
    var request = CreateSessionRequest(workspace: workspace)
    if allowUnenforced { request.allowUnenforced = true }
    if let problem { throw CommandFailure(code: code, problem) }
    if let name, !Self.isFile(name) { request.policy = name }
    guard let file = with ?? name, with != nil || Self.isFile(file) else { return request }
    let path = context.absolute(file)
    switch readAll(path, limit: 1 << 20) {
    case .failure(let error): throw CommandFailure(code: code, "the policy \(path) cannot be read: \(error)")
    case .success(let bytes):
      guard let text = try? String(copying: UTF8Span(validating: bytes.span)) else {
        throw CommandFailure(code: code, "the policy \(path) is not UTF-8")
      }
      request.policyText = text
      if ownerAndType(path)?.type == .fifo { return request }  // nothing that anybody could change later
      guard let canonical = canonicalName(path), let place = canonicalPlace(path) else {
        throw CommandFailure(code: code, "the policy \(path) is no file with a name")
      }
      request.policyFile = canonical
      // By bytes: a link may differ from what it names in how a character is composed.
      if !place.utf8.elementsEqual(canonical.utf8) { request.policyLink = place }
    }
    return request
  }
}
