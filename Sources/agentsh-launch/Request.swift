import AgentshLauncher
import AgentshWire

/// The launch that arguments and environment ask for.
func requestedLaunch(_ environment: Environment, log: Int32?) throws(LaunchError) -> Launch {
  // SAFETY: argv is NULL-terminated and lives as long as the process.
  let words = unsafe CommandLine.unsafeArgv
  guard CommandLine.argc >= 3, let dashes = unsafe words[1], unsafe bytes(of: dashes) == [0x2d, 0x2d] else {
    throw LaunchError(.usage, "")
  }
  let plan = try readPlan(environment)
  guard let socket = environment.number(LauncherVariables.socket) else {
    throw LaunchError(.noNotifySocket, "\(LauncherVariables.socket) is not set")
  }
  return unsafe Launch(
    plan, socket: socket, kept: try keptDescriptors(environment.value(LauncherVariables.kept)), log: log,
    command: Launch.Strings(words + 2), environment: environment.forCommand())
}

private func readPlan(_ environment: Environment) throws(LaunchError) -> LaunchPlan {
  guard let text = environment.value(LauncherVariables.plan) else {
    throw LaunchError(.badPlan, "\(LauncherVariables.plan) is not set")
  }
  do { return try LaunchPlan(hex: text) } catch { throw LaunchError(.badPlan, error.description) }
}

/// Reads `3,7,12`: decimal numbers over 2.
private func keptDescriptors(_ list: String?) throws(LaunchError) -> [Int32] {
  guard let list, !list.isEmpty else { return [] }
  var kept: [Int32] = []
  for word in list.split(separator: ",", omittingEmptySubsequences: false) {
    guard let number = decimal(word), number > 2 else {
      throw LaunchError(.badKeptDescriptor, "'\(word)' is no descriptor over 2")
    }
    kept.append(number)
  }
  return kept
}
