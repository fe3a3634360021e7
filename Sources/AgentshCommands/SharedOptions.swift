import AgentshClient
import ArgumentParser

/// Which daemon a command talks to.
struct DaemonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The daemon's socket, instead of the machine's or your own. Nothing is started then.", valueName: "path"
    ))
  var socket: String?

  /// A connection; the user's daemon is started where `start` says so.
  func connect(_ context: ProcessContext, start: Bool = false) throws(CommandFailure) -> APIClient {
    do throws(ClientError) {
      return try context.daemon().connect(context.daemonOptions(socket: socket, start: start))
    } catch {
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

  @Option(
    help: ArgumentHelp(
      "A policy file of your own beside --policy NAME: the stricter decision counts. The daemon must have user_files: combine.",
      valueName: "file"))
  var with: String?

  @Flag(help: "Take a policy with keys that are not enforced yet; each is carried out as strictly as can be.")
  var allowUnenforced = false

  func validate() throws {
    if let problem = selection.problem { throw ValidationError(problem) }
  }

  var selection: PolicySelection {
    var selection = PolicySelection()
    selection.name = policy
    selection.with = with
    selection.allowUnenforced = allowUnenforced
    return selection
  }
}
