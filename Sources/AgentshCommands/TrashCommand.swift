import AgentshClient
import AgentshConfig
import AgentshEvent
import AgentshWire
import ArgumentParser
import LinuxSystem

struct TrashCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trash",
    abstract: "List, restore and purge what was deleted softly.",
    discussion: """
      A file that a rule with decision: soft_delete names is moved when a program deletes it: to
      ~/.local/state/agentsh/trash, or to .agentsh_trash in the workspace where that lies on another file system.
      It stays there until you restore or purge it:

        agentsh trash list
        agentsh trash restore ID
        agentsh trash purge --older-than 30d

      No agent can: under a policy that deletes softly nobody inside touches the trash.
      """,
    subcommands: [List.self, Restore.self, Purge.self])

  /// Where to look.
  struct Place: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "A workspace whose trash is looked at, too. Default: the current directory and those above.",
        valueName: "dir"))
    var root: String?

    func items() throws(CommandFailure) -> [TrashBin.Item] {
      let context = try ProcessContext.current()
      let account: Account
      do throws(ClientError) { account = try .current(homeVariable: context.value(of: "HOME")) } catch {
        throw CommandFailure(error)
      }
      let workspaces = root.map { [context.absolute($0)] } ?? context.directory.upwards
      return TrashBin.all(home: account.home, workspaces: workspaces).flatMap { $0.items() }
    }

    /// Those of the ids, in their order; the trash is read once.
    func items(_ ids: [String]) throws(CommandFailure) -> [TrashBin.Item] {
      let all = try items()
      var found: [TrashBin.Item] = []
      for id in ids {
        guard let item = all.first(where: { $0.id == id }) else {
          throw CommandFailure(
            "there is no \(id) in the trash", hint: "agentsh trash list; --root DIR for another workspace's")
        }
        found.append(item)
      }
      return found
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List what lies in the trash, oldest first.")

    @OptionGroup var place: Place
    @Flag(help: "As JSON.") var json = false

    struct Row: Encodable {
      let id, path, deleted, session, rule, file: String
      let size: Int64
    }

    func run() throws {
      let rows = try place.items().compactMap { item in
        item.size.map { size in
          Row(
            id: item.id, path: item.entry.map { String(decoding: $0.path, as: UTF8.self) } ?? "",
            deleted: String(rfc3339(item.deleted &* 1_000_000_000).prefix(19)) + "Z",
            session: item.entry?.session ?? "",
            rule: item.entry?.rule ?? "", file: item.file, size: size)
        }
      }
      if json { return Output.write(try indented(rows)) }
      let text = rows.map { [$0.id, $0.deleted, String($0.size), $0.path] }
      Output.write(Array(Table.text([["ID", "DELETED", "SIZE", "PATH"]] + text).utf8))
    }
  }

  struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "restore", abstract: "Move a file back to where it was.")

    @Argument(help: "Its id.") var id: String
    @Option(help: ArgumentHelp("Put it there instead.", valueName: "path")) var to: String?
    @OptionGroup var place: Place

    func run() throws {
      let target = try to.map { try ProcessContext.current().absolute($0) }
      for item in try place.items([id]) { Output.line(try item.restore(to: target)) }
    }
  }

  struct Purge: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "purge", abstract: "Delete for good: named files, old ones, or all.")

    @Argument(help: "Their ids.") var ids: [String] = []
    @Option(help: ArgumentHelp("What was deleted longer ago, as 12h, 30d.", valueName: "time"))
    var olderThan: String?
    @Flag(help: "Everything.") var all = false
    @OptionGroup var place: Place

    func validate() throws {
      guard [!ids.isEmpty, olderThan != nil, all].count(where: { $0 }) == 1 else {
        throw ValidationError("say ids, --older-than, or --all")
      }
      if let olderThan, Duration(parsing: olderThan) == nil {
        throw ValidationError("--older-than \(olderThan) is no duration, such as 12h or 30d")
      }
    }

    /// What a supervisor is just about to move there is not a left-over yet.
    private static let settled: Duration = .seconds(60)

    func run() throws {
      let found = try ids.isEmpty ? place.items() : place.items(ids)
      let now = Duration.nanoseconds(Int64(wallClock()))
      let age = olderThan.flatMap { Duration(parsing: $0) } ?? .zero
      var count = 0
      for item in found {
        let since = now - .seconds(item.deleted)
        guard since >= age || age == .zero else { continue }
        guard item.size != nil || since > Self.settled else { continue }
        try item.purge()
        if item.size != nil { count += 1 }
      }
      Output.line("\(count) purged")
    }
  }
}
