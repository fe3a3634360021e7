import AgentshAPI
import AgentshClient
import ArgumentParser
import CLinux
import LinuxSystem

/// `agentsh`: the command line.
struct AgentshCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agentsh",
    abstract: "Run programs, above all AI agents, under a policy, with a record of what they did.",
    discussion: """
      Start with:  agentsh wrap -- COMMAND
      Then look:   agentsh events query --decision deny
      """,
    version: "agentsh \(AgentshVersion.text)",
    subcommands: [
      WrapCommand.self, ServerCommand.self, SessionCommand.self, ApproveCommand.self, EventsCommand.self,
      TrashCommand.self, PolicyCommand.self, DetectCommand.self, CompletionsCommand.self, VersionCommand.self,
      DebugCommand.self,
    ])
}

/// The program's whole run.
package enum CommandLineMain {
  /// A standard descriptor that is closed would be taken by the first file we open, and the agent would get that.
  package static func holdStandardDescriptors() {
    for number: Int32 in 0...2 where rawCall(Int(SYS_fcntl), Int(number), Int(F_GETFD)) < 0 {
      _ = openAt(AT_FDCWD, PathText("/dev/null"), flags: O_RDWR)
    }
  }

  /// Runs the command that the arguments name and returns the exit code; `wrap` may become another program instead.
  package static func run(_ arguments: [String]) -> Int32 {
    do {
      if arguments.first == "wrap", let options = WrapOptions(quick: Array(arguments.dropFirst())) {
        return try Wrap(options: options, context: .current()).run()
      }
      var command = try AgentshCommand.parseAsRoot(arguments)
      try command.run()
      return 0
    } catch let failure as CommandFailure {
      Output.note(failure.description)
      return failure.code
    } catch let failure as ClientError {
      Output.note(CommandFailure(failure).description)
      return ExitStatus.failed
    } catch {
      return usage(error)
    }
  }

  /// What the words after `wrap` mean to ArgumentParser; nil when it refuses them.
  package static func wrapOptions(_ words: [String]) -> WrapOptions? { try? WrapCommand.parse(words).options }

  /// The help of a command, by the words that name it.
  package static func help(_ path: [String]) -> String {
    do {
      var command = try AgentshCommand.parseAsRoot(path + ["--help"])
      try command.run()
      return ""
    } catch { return AgentshCommand.fullMessage(for: error) }
  }

  /// The words that name each command.
  package static var paths: [[String]] { paths(of: AgentshCommand.self) }

  private static func paths(of command: any ParsableCommand.Type) -> [[String]] {
    [[]]
      + command.configuration.subcommands.flatMap { below in
        paths(of: below).map { [below.configuration.commandName ?? ""] + $0 }
      }
  }

  /// Help and version go to stdout; a wrong command line to stderr.
  private static func usage(_ error: any Error) -> Int32 {
    let code = AgentshCommand.exitCode(for: error)
    let message = AgentshCommand.fullMessage(for: error)
    guard code != .success else {
      if !message.isEmpty { Output.line(message) }
      return 0
    }
    if code == .validationFailure {
      Output.note(message)
      return ExitStatus.usage
    }
    if !(error is ExitCode), !message.isEmpty { Output.note(message) }
    return code.rawValue
  }
}
