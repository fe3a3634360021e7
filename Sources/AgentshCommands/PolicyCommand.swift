import AgentshAPI
import AgentshClient
import AgentshConfig
import AgentshPolicy
import ArgumentParser
import FoundationEssentials
import LinuxSystem

struct PolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy",
    abstract: "Check policies and ask what they say.",
    discussion: """
      Examples:
        agentsh policy validate ./policy.yaml
        agentsh policy test --op file_write --path /etc/passwd
        agentsh policy explain --op exec --path git --policy ./policy.yaml -- push --force
      """,
    subcommands: [Validate.self, Test.self, Explain.self, List.self, Show.self])

  struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "validate",
      abstract: "Say everything that is wrong in policies, with line and column.",
      discussion: "Exit status 1 when one of them would not be accepted.")

    @Argument(help: ArgumentHelp("Names of policies, or files.", valueName: "policy")) var policies: [String]
    @Flag(help: "Keys that are not enforced yet are warnings.") var allowUnenforced = false
    @Option(
      help: ArgumentHelp(
        "The workspace that variables stand for. Default: the current directory.", valueName: "dir"))
    var root: String?

    func run() throws {
      let context = try ProcessContext.current()
      let local = try LocalPolicies(context, root: root)
      var areValid = true
      for policy in policies {
        let named = PolicyLibrary.isFileName(policy) ? context.absolute(policy) : policy
        let report = PolicyReport.validate(
          named, directories: local.directories, context: local.policyContext,
          allowUnenforced: allowUnenforced)
        if report.isValid { Output.line(report.text) } else { Output.note(report.text) }
        areValid = areValid && report.isValid
      }
      if !areValid { throw ExitCode(ExitStatus.failed) }
    }
  }

  /// What is asked.
  struct Question: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "The operation: file_read, file_write, file_delete …, net_connect, exec, unix_connect …, signal.",
        valueName: "operation"))
    var op: String

    @Option(
      help: ArgumentHelp(
        "An absolute path, host:port, a command, or 'SIGTERM children'.", valueName: "object"))
    var path: String

    @Argument(parsing: .postTerminator, help: "For exec: the command's arguments, after --.")
    var arguments: [String] = []

    func validate() throws {
      guard PolicyQuestion.operations.contains(where: { $0.word == op }) else {
        let words = PolicyQuestion.operations.map(\.word).joined(separator: ", ")
        throw ValidationError("unknown operation '\(op)'; one of: \(words)")
      }
    }
  }

  /// Which policy is asked, where no session is.
  struct Source: ParsableArguments {
    @Option(help: ArgumentHelp("A policy's name, or a file. Default: agent-default.", valueName: "name|file"))
    var policy: String?
    @Option(
      help: ArgumentHelp(
        "A second policy that narrows it, as user_files: combine has a user's own do.", valueName: "name|file"
      ))
    var with: String?
    @Option(
      help: ArgumentHelp(
        "The workspace that variables stand for. Default: the current directory.", valueName: "dir"))
    var root: String?
    @Flag(help: "Take a policy with keys that are not enforced yet.") var allowUnenforced = false

    func answer(_ question: Question) throws -> PolicyAnswer {
      let context = try ProcessContext.current()
      let local = try LocalPolicies(context, root: root)
      func rules(_ policy: String) throws(LoadFailure) -> PolicyRules {
        try PolicyLibrary.load(
          PolicyLibrary.isFileName(policy) ? context.absolute(policy) : policy,
          directories: local.directories, context: local.policyContext, allowUnenforced: allowUnenforced
        ).rules
      }
      let first = policy ?? PolicyLibrary.defaultName
      do {
        let main = try rules(first)
        let together =
          if let with { try SessionRules(main, narrowedBy: rules(with)) } else { SessionRules(main) }
        let asked = try PolicyQuestion(
          op: question.op, path: question.path, arguments: question.arguments, context: local.policyContext)
        return try PolicyAnswer(together, asked, mounts: MountTable(of: currentProcess()))
      } catch let error as LoadFailure {
        throw CommandFailure("\(error)")
      } catch let error as CombinationError {
        throw CommandFailure("\(first) and \(with ?? "") cannot be combined: \(error)", hint: error.wayOut)
      } catch let error as PolicyQuestionError {
        throw CommandFailure(code: ExitStatus.usage, "\(error)")
      }
    }
  }

  struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "test",
      abstract: "What would be decided, without doing it.",
      discussion:
        "With --session the daemon answers by that session's policy; otherwise nothing is asked of it.")

    @OptionGroup var question: Question
    @OptionGroup var source: Source
    @Option(help: ArgumentHelp("Ask the policy of this session.", valueName: "id")) var session: String?
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
      if session != nil,
        source.policy != nil || source.with != nil || source.root != nil || source.allowUnenforced
      {
        throw ValidationError(
          "--session has its own policy: leave --policy, --with, --root and --allow-unenforced out")
      }
    }

    func run() throws {
      guard let session else {
        let answer = try source.answer(question)
        let response = PolicyTestResponse(
          decision: answer.decision, policyDecision: answer.policyDecision, reason: answer.reason,
          rule: answer.rule)
        return json ? try Self.print(response) : Output.line(EventLine.printableLines(answer.text))
      }
      var request = PolicyTestRequest(operation: question.op, path: question.path)
      request.sessionID = session
      if !question.arguments.isEmpty { request.args = question.arguments }
      let response = try daemon.connect(.current()).testPolicy(request)
      json ? try Self.print(response) : Output.line(EventLine.printableLines(text(response)))
    }

    private static func print(_ response: PolicyTestResponse) throws {
      Output.write(try indented(response))
    }

    private func text(_ response: PolicyTestResponse) -> String {
      let word = response.decision == response.policyDecision ? "" : " (\(response.policyDecision))"
      var lines = [
        "Operation: \(question.op)", "Path:      \(question.path)", "",
        "Decision:  \(response.decision.uppercased())\(word)", "Rule:      \(response.rule)",
      ]
      if !response.reason.isEmpty { lines.append("Reason:    \(response.reason)") }
      return lines.joined(separator: "\n")
    }
  }

  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "explain", abstract: "What would be decided, and why each rule before it did not match.")

    @OptionGroup var question: Question
    @OptionGroup var source: Source

    func run() throws { Output.line(EventLine.printableLines(try source.answer(question).explanation)) }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "The policies that have a name.")
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
      let local = try LocalPolicies(.current(), root: "/")
      let names = local.names()
      if json {
        let entries = names.map { PolicyList.Entry(name: $0.name, description: "", file: $0.file) }
        return Output.write(indented(json: try JSONEncoder().encode(PolicyList(policies: entries))))
      }
      for (name, file) in names { Output.line("\(name)  \(file ?? "(built in)")") }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show",
      abstract: "Print a policy's text.",
      discussion:
        "To make one of your own: agentsh policy show agent-default > ~/.config/agentsh/policies/mine.yaml")
    @Argument(help: "A policy's name, or a file.") var policy: String

    func run() throws {
      let context = try ProcessContext.current()
      let named = PolicyLibrary.isFileName(policy) ? context.absolute(policy) : policy
      let directories = try LocalPolicies(context, root: "/").directories
      do throws(LoadFailure) {
        Output.write(try PolicyLibrary.source(named, directories: directories).bytes)
      } catch { throw CommandFailure("\(error)") }
    }
  }
}

/// Names that existing scripts use.
struct DebugCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "debug", abstract: "Other names of commands, for existing scripts.",
    subcommands: [PolicyTest.self, PendingCommand.self])

  struct PolicyTest: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "policy-test", abstract: "As agentsh policy test.")
    @OptionGroup var test: PolicyCommand.Test

    func run() throws { try test.run() }
  }
}
