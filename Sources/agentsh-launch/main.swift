import AgentshLauncher
import AgentshWire
import LinuxSystem

/// The launcher as a program: for clients that are not ours, and for an agent that begins again. `agentsh wrap` launches
/// without it.
func launch() -> LaunchFailure {
  let environment = Environment()
  let log = environment.number(LauncherVariables.log)
  do throws(LaunchError) { return try requestedLaunch(environment, log: log).run() } catch {
    // Only a wrong command line, typed by a person, is answered on stderr.
    Diagnostics(descriptor: log ?? (error.failure == .usage ? 2 : nil)).report(error)
    return error.failure
  }
}

// The status of every step that fails is in `LaunchFailure`; success never returns.
exitProcess(launch().rawValue)
