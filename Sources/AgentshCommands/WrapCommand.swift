import ArgumentParser

struct WrapCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wrap",
    abstract: "Run a command under a policy.",
    usage: "agentsh wrap [options] -- COMMAND [ARGS...]",
    discussion: """
      The command and everything it starts is decided by the policy: files, commands, connections, signals. What the \
      policy forbids fails with the error the kernel would give; everything is recorded. Terminal, job control and \
      exit code are the command's own. A daemon is started where none runs.

      Examples:
        agentsh wrap -- bash
        agentsh wrap --policy strict --root ~/project -- claude
        agentsh wrap --policy ./policy.yaml -- make -j4

      Exit status: the command's own, 128+N when signal N ended it; 127 no such command; 126 it may not be executed; \
      125 agentsh itself failed and the command did not run; 2 wrong usage.
      """)

  @OptionGroup var policy: PolicyOptions

  @Option(
    help: ArgumentHelp(
      "The workspace: where ${WORKSPACE} is. Default: the current directory.", valueName: "dir"))
  var root: String?

  @Option(help: ArgumentHelp("Run in this session, with its policy and workspace.", valueName: "id"))
  var session: String?

  @Flag(help: "Do not say at the end how many operations were denied.")
  var quiet = false

  @Flag(
    help: "Go on where this machine cannot enforce all of the policy; what is missing is said and recorded.")
  var allowDegraded = false

  @Option(
    name: .customLong("keep-fd"),
    help: ArgumentHelp(
      "Let the command inherit this descriptor; 0 to 2 and make's job server always are. Can be repeated.",
      valueName: "n"))
  var keepFD: [Int32] = []

  @Option(
    help: ArgumentHelp(
      "Configuration of the daemon that is started now; see agentsh server.", valueName: "file"))
  var config: String?

  @OptionGroup var daemon: DaemonOptions

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("The command and its arguments, after --.", valueName: "command"))
  var command: [String] = []

  var options: WrapOptions {
    var options = WrapOptions()
    options.policy = policy.selection
    options.root = root
    options.session = session
    options.quiet = quiet
    options.allowDegraded = allowDegraded
    options.keepFD = keepFD
    options.config = config
    options.socket = daemon.socket
    options.command = command
    return options
  }

  func validate() throws {
    if let problem = options.problem { throw ValidationError(problem) }
  }

  func run() throws {
    throw ExitCode(try Wrap(options: options, context: .current()).run())
  }
}
