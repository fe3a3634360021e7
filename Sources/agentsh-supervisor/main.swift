import AgentshEnforcement
import AgentshWire

/// `agentsh-supervisor`: started by the client or the daemon, never by hand (`SupervisorArguments`).
func supervise(_ words: [String]) -> Int32 {
  if words == ["--detect"] { return reportMechanisms(to: 1) }
  guard let arguments = SupervisorArguments(parsing: words) else {
    reportUsage()
    return 2
  }
  do throws(Supervisor.Failure) {
    let supervisor = try Supervisor(arguments)
    try supervisor.proveMechanisms()
    return supervisor.run()
  } catch {
    Supervisor.report(error.sentence, arguments, Channel(owning: arguments.channel))
    return Supervisor.ownFailure
  }
}

exitProcess(supervise(Array(CommandLine.arguments.dropFirst())))
