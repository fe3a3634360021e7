import AgentshEnforcement
import AgentshWire

/// `agentsh-supervisor`: started by the client or the daemon, never by hand (`SupervisorArguments`).
func supervise(_ words: [String]) -> Int32 {
  if words == ["--detect"] { return reportMechanisms(to: 1) }
  guard let arguments = SupervisorArguments(parsing: words) else {
    reportUsage()
    return 2
  }
  var entrance: Entrance?
  do throws(Supervisor.Failure) {
    let entered = try Entrance(arguments)
    entrance = entered
    let supervisor = try Supervisor(arguments, entered)
    try supervisor.proveMechanisms()
    return supervisor.run()
  } catch { return Supervisor.report(error, arguments, entrance) }
}

exitProcess(supervise(Array(CommandLine.arguments.dropFirst())))
