import AgentshAPI
import AgentshClient
import ArgumentParser

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the version; as agentsh --version.")

  func run() { Output.line("agentsh \(AgentshVersion.text)") }
}

struct CompletionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completions",
    abstract: "Print the completion script for a shell.",
    discussion: """
      bash:  agentsh completions bash > ~/.local/share/bash-completion/completions/agentsh
      zsh:   agentsh completions zsh > DIR/_agentsh, with DIR in fpath
      fish:  agentsh completions fish > ~/.config/fish/completions/agentsh.fish
      """)

  enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }

  @Argument(help: "bash, zsh or fish.") var shell: Shell

  func run() throws {
    guard let known = CompletionShell(rawValue: shell.rawValue) else {
      throw ValidationError("no completions for \(shell.rawValue)")
    }
    Output.line(AgentshCommand.completionScript(for: known))
  }
}
