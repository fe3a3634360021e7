import AgentshAPI
import AgentshClient
import ArgumentParser

struct ApproveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "approve",
    abstract: "List and answer what waits for approval.",
    discussion: """
      A call that a rule with decision: approve names is held until somebody answers, or its time is over:

        agentsh approve list
        agentsh approve resolve ID --allow --reason "looked at it"

      With the machine's daemon that is for root, administrators and approvers, and not for one's own sessions. With
      your own daemon it is for you. Run it beside the agent, in another terminal: an agent cannot approve anything.
      """,
    subcommands: [List.self, Resolve.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List what waits for approval, as JSON, oldest first.")
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      Output.write(indented(json: try daemon.connect(.current()).get(Route.approvals)))
    }
  }

  struct Resolve: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "resolve", abstract: "Approve or deny a call that waits.")

    @Argument(help: "The approval's id.") var id: String

    @Flag(help: "Let it go on.") var allow = false

    @Flag(help: "Deny it.") var deny = false

    @Option(help: ArgumentHelp("Why, for the record.", valueName: "text")) var reason: String?

    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
      if allow == deny { throw ValidationError("say either --allow or --deny") }
      if let reason, reason.utf8.count > ResolveApprovalRequest.reasonLimit {
        throw ValidationError("the reason is over \(ResolveApprovalRequest.reasonLimit) bytes")
      }
    }

    func run() throws {
      let request = ResolveApprovalRequest(allow ? .approve : .deny, reason: reason)
      try daemon.connect(.current()).resolveApproval(percentEncoded(id), request)
      Output.line("ok")
    }
  }
}

/// `agentsh debug pending`: what waits, as a table.
struct PendingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pending", abstract: "What waits for approval, as a table.")
  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let waiting = try daemon.connect(.current()).approvals()
    let rows =
      [["ID", "SESSION", "OPERATION", "PATH", "SINCE"]]
      + waiting.map { [$0.id, $0.sessionID, $0.fields.operation ?? $0.kind, $0.target, $0.createdAt] }
    Output.write(Array(Table.text(rows).utf8))
    Output.line("\n\(waiting.count) pending approval(s)")
  }
}
