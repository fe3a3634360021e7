import AgentshAPI
import AgentshClient
import ArgumentParser

struct SessionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session",
    abstract: "Make, show and end sessions.",
    discussion: """
      agentsh wrap makes a session of its own. Make one here to run several commands in the same session:

        agentsh session create --id work --workspace ~/project --json
        agentsh wrap --session work -- bash
        agentsh session destroy work
      """,
    subcommands: [Create.self, List.self, Info.self, Destroy.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a session.")

    @Option(help: ArgumentHelp("The workspace. Default: the current directory.", valueName: "dir"))
    var workspace: String?

    @Option(help: ArgumentHelp("The session's id. Default: session- and a random UUID.", valueName: "id"))
    var id: String?

    @OptionGroup var policy: PolicyOptions

    @Flag(help: "Switch the /workspace alias of path patterns off.")
    var realPaths = false

    @Flag(help: "Print the session as JSON.")
    var json = false

    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
      if let id, !isSessionID(id) {
        throw ValidationError("'\(id)' is no session id (letters, digits, _ and -, at most 128)")
      }
    }

    func run() throws {
      let context = try ProcessContext.current()
      let directory = workspace.map(context.absolute) ?? context.directory
      var request = try policy.selection.request(workspace: directory, context)
      request.id = id
      if realPaths { request.realPaths = true }
      let client = try daemon.connect(context, start: true)
      if json {
        Output.write(indented(json: try client.createSessionJSON(request)))
      } else {
        Output.line("Session \(try client.createSession(request).id) created")
      }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List your sessions as JSON.")
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      Output.write(indented(json: try daemon.connect(.current()).get(Route.sessions)))
    }
  }

  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "info", abstract: "Show a session as JSON.")
    @Argument(help: "The session's id.") var id: String
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      Output.write(indented(json: try daemon.connect(.current()).get(Route.session(percentEncoded(id)))))
    }
  }

  struct Destroy: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "destroy", abstract: "End a session and everything that runs in it. Its events stay.")
    @Argument(help: "The session's id.") var id: String
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      try daemon.connect(.current()).deleteSession(percentEncoded(id))
      Output.line("ok")
    }
  }
}
