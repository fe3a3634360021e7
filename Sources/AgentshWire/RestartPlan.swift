/// What an agent that was started unsupervised begins again as, in a memory file for the supervisor: the launcher, with the
/// command that was announced.
package struct RestartPlan: Equatable, Sendable {
  /// Absolute path of the launcher.
  package let launcher: String
  /// Absolute path of the program, and its arguments.
  package let command: [String]
  /// The launch plan, as it stands in the environment (`LauncherVariables.plan`).
  package let plan: String

  package init(launcher: String, command: [String], plan: String) {
    self.launcher = launcher
    self.command = command
    self.plan = plan
  }
}

extension RestartPlan: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(launcher)
    writer.value(command)
    writer.value(plan)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init(
      launcher: try reader.value(String.self), command: try reader.value([String].self),
      plan: try reader.value(String.self))
  }
}
