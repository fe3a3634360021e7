import AgentshAPI
import AgentshClient
import ArgumentParser
import LinuxSystem

/// Which daemon a command talks to.
struct DaemonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The daemon's socket, instead of the machine's or your own. Nothing is started then.", valueName: "path"
    ))
  var socket: String?

  func options(_ context: ProcessContext, config: String? = nil, start: Bool = false) -> Daemon.Options {
    var options = Daemon.Options()
    options.socket = socket.map(context.absolute)
    options.config = config.map(context.absolute)
    options.start = start
    return options
  }

  /// A connection; the user's daemon is started where `start` says so.
  func connect(_ context: ProcessContext, start: Bool = false) throws(CommandFailure) -> APIClient {
    do throws(ClientError) { return try context.daemon().connect(options(context, start: start)) } catch {
      throw CommandFailure(error)
    }
  }
}

/// Which policy a new session has.
struct PolicyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A policy's name, or a file (a value with / or ending in .yaml or .yml). Default: agent-default.",
      valueName: "name|file"))
  var policy: String?

  @Flag(help: "Take a policy with keys that are not enforced yet; each is carried out as strictly as can be.")
  var allowUnenforced = false

  /// Whether the value means a file.
  static func isFile(_ value: String) -> Bool {
    value.contains("/") || value.hasSuffix(".yaml") || value.hasSuffix(".yml")
  }

  func request(workspace: String, _ context: ProcessContext) throws(CommandFailure) -> CreateSessionRequest {
    var request = CreateSessionRequest(workspace: workspace)
    if allowUnenforced { request.allowUnenforced = true }
    guard let policy else { return request }
    guard Self.isFile(policy) else {
      request.policy = policy
      return request
    }
    let path = context.absolute(policy)
    switch readAll(path, limit: 1 << 20) {
    case .failure(let error):
      throw CommandFailure(code: ExitStatus.notWrapped, "the policy \(path) cannot be read: \(error)")
    case .success(let bytes):
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw CommandFailure(code: ExitStatus.notWrapped, "the policy \(path) is not UTF-8")
      }
      request.policyText = text
      request.policyFile = path
    }
    return request
  }
}
