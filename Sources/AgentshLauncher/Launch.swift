package import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

/// A launch, WRAP-PROTOCOL section 2: this process gives up rights, hands its listener over, waits to be let go on, and
/// becomes the command.
@safe package struct Launch {
  package typealias Strings = UnsafePointer<UnsafeMutablePointer<CChar>?>

  let plan: LaunchPlan
  /// SOCK_SEQPACKET. The listener goes there, and the answer comes.
  let socket: Int32
  let kept: [Int32]
  let command: Strings
  let environment: Strings
  let diagnostics: Diagnostics

  /// - Parameters:
  ///   - kept: the descriptors over 2 that the command gets.
  ///   - log: where diagnostics go; nil: nowhere.
  ///   - command: its arguments, the name first; NULL-terminated, as is `environment`. They live until it runs.
  package init(
    _ plan: LaunchPlan, socket: Int32, kept: [Int32], log: Int32?, command: Strings, environment: Strings
  ) {
    self.plan = plan
    self.socket = socket
    self.kept = kept
    diagnostics = Diagnostics(descriptor: log)
    unsafe self.command = command
    unsafe self.environment = environment
  }

  /// Returns only when the command does not run, with the step that failed. This process has to end then.
  package func run() -> LaunchFailure {
    do throws(LaunchError) { try steps() } catch {
      diagnostics.report(error)
      return error.failure
    }
  }

  private func steps() throws(LaunchError) -> Never {
    let handoff = try Handoff(socket: socket)
    let descriptors = try Descriptors(keeping: kept)
    // Whatever needs a file is done before there is anybody to ask.
    let path = try resolve()

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
    // SAFETY: path ends with NUL; the command and the environment end with NULL.
    let result = unsafe path.withUnsafeBufferPointer { path in
      unsafe rawCall(
        SystemCall.execve, kernelAddress(path.baseAddress), kernelAddress(command), kernelAddress(environment)
      )
    }
    let errno = Int32(truncatingIfNeeded: -result)
    let name = String(decoding: path.dropLast(), as: UTF8.self)
    throw LaunchError(errno == ENOENT ? .notFound : .notExecutable, "\(name): \(errnoText(errno))")
  }

  /// A path for execve, NUL-terminated.
  private func resolve() throws(LaunchError) -> [UInt8] {
    // SAFETY: as `init` asks for.
    guard let name = unsafe command.pointee else { throw LaunchError(.usage, "") }
    return try CommandLookup(searchPath: unsafe value(named: "PATH", in: environment))
      .resolve(unsafe bytes(of: name))
  }
}
