import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

/// The whole launch, WRAP-PROTOCOL section 2. Returns only when the command does not run, with the step that failed.
func launch() -> LaunchFailure {
  let environment = Environment()
  let diagnostics = Diagnostics(descriptor: environment.number("AGENTSH_WRAPPER_LOG_FD"))
  do throws(LaunchError) {
    try run(environment, diagnostics)
  } catch {
    diagnostics.report(error)
    return error.failure
  }
}

private func run(_ environment: Environment, _ diagnostics: Diagnostics) throws(LaunchError) -> Never {
  var count: Int32 = 0
  // SAFETY: argv is NULL-terminated and lives as long as the process.
  guard let words = unsafe clinux_arguments(&count), count >= 3, unsafe isDoubleDash(words[1]),
    let name = unsafe words[2]
  else {
    throw LaunchError(.usage, "")
  }
  let plan = try readPlan(environment)
  guard let socket = environment.number("AGENTSH_NOTIFY_SOCK_FD") else {
    throw LaunchError(.noNotifySocket, "AGENTSH_NOTIFY_SOCK_FD is not set")
  }
  let handoff = try Handoff(socket: socket)
  let descriptors = try Descriptors(keeping: environment.value("AGENTSH_KEEP_FDS"))
  // Whatever needs a file is done before there is anybody to ask.
  let path = try CommandLookup(searchPath: environment.bytes("PATH")).resolve(unsafe cStringBytes(name))
  let variables = unsafe environment.forCommand()

  try LaunchError.step(.noNewPrivileges, Privileges.giveUpGaining)
  try LaunchError.step(.capabilities) { () throws(SystemCallError) in
    try Privileges.dropCapabilities(keeping: plan.keepCapabilities)
  }
  let confinement = Confinement(plan: plan, diagnostics: diagnostics)
  let filter = try confinement.filter()
  try confinement.restrictFiles()
  if plan.mediate.contains(.traced) {
    try handoff.sendOwnHandle()
    // Traced from here on, before there is anything to be traced for.
    try handoff.awaitAcknowledgement()
    try LaunchError.step(.filter, filter.installSilent)
    try confinement.callRoll()
  } else {
    try handoff.install(filter)
    try handoff.awaitAcknowledgement()
  }
  try LaunchError.step(.descriptors) { () throws(SystemCallError) in
    try descriptors.closeOthers(log: diagnostics.descriptor)
  }
  // SAFETY: path ends with NUL; argv from the command on and the environment end with NULL.
  let result = unsafe path.withUnsafeBufferPointer { path in
    unsafe rawCall(
      SystemCall.execve, kernelAddress(path.baseAddress), kernelAddress(words + 2),
      kernelAddress(variables))
  }
  let errno = Int32(truncatingIfNeeded: -result)
  let command = String(decoding: path.dropLast(), as: UTF8.self)
  throw LaunchError(errno == ENOENT ? .notFound : .notExecutable, "\(command): \(errnoText(errno))")
}

private func readPlan(_ environment: Environment) throws(LaunchError) -> LaunchPlan {
  guard let text = environment.value(LaunchPlan.variable) else {
    throw LaunchError(.badPlan, "\(LaunchPlan.variable) is not set")
  }
  do { return try LaunchPlan(hex: text) } catch { throw LaunchError(.badPlan, error.description) }
}

private func isDoubleDash(_ word: UnsafeMutablePointer<CChar>?) -> Bool {
  guard let word = unsafe word else { return false }
  return unsafe cStringBytes(word) == [0x2d, 0x2d]
}
