import AgentshEnforcement
import AgentshWire
import LinuxSystem

/// `agentsh-supervisor`: started by the client or the daemon, never by hand (`SupervisorCommand`).
func supervise(_ words: [String]) -> Int32 {
  if words == ["--detect"] { return reportMechanisms(to: 1) }
  guard let command = SupervisorCommand(parsing: words) else {
    reportUsage()
    return 2
  }
  var arguments = command.arguments
  var entrance: Entrance?
  do throws(Supervisor.Failure) {
    let approach = try Approach(command)
    let told = try approach.arguments()
    arguments = told
    let entered = try Entrance(told, approach)
    entrance = entered
    let supervisor = try Supervisor(told, entered)
    try supervisor.proveMechanisms()
    try approach.awaitAcceptance()
    // What it holds is taken apart by the kernel, all at once and after somebody has the exit code.
    withExtendedLifetime(supervisor) { exitProcess(supervisor.run()) }
  } catch { return Supervisor.report(error, arguments, entrance) }
}

exitProcess(supervise(Array(CommandLine.arguments.dropFirst())))
