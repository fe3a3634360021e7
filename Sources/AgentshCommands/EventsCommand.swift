import AgentshAPI
import AgentshClient
import ArgumentParser

struct EventsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "Look at what was decided and done.",
    discussion: """
      Examples:
        agentsh events query --decision deny
        agentsh events query --session ID --type execve --json | jq -r .filename
        agentsh events tail --session ID
      """,
    subcommands: [Query.self, Tail.self])

  /// What both ask for.
  struct Filter: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "Only of this type, as file_open, execve, net_connect; several with commas.", valueName: "type"))
    var type: String?

    @Option(help: ArgumentHelp("Only with this effective decision, as deny.", valueName: "decision"))
    var decision: String?

    @Option(help: ArgumentHelp("Only of this path; a * at the end is any rest.", valueName: "path"))
    var path: String?

    @Flag(help: "Print each event as one line of JSON.")
    var json = false
  }

  struct Query: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "query",
      abstract: "Events of the past, the newest last.",
      discussion: "Times are RFC 3339 (2026-11-23T17:14:00Z) or how long ago (15m, 2h, 1d).")

    @Option(help: ArgumentHelp("Only of this session.", valueName: "id")) var session: String?
    @OptionGroup var filter: Filter
    @Option(help: ArgumentHelp("From this time on.", valueName: "time")) var since: String?
    @Option(help: ArgumentHelp("Before this time.", valueName: "time")) var until: String?
    @Option(help: ArgumentHelp("At most so many, the newest.", valueName: "n")) var limit = EventQueryKey
      .defaultLimit

    enum Order: String, ExpressibleByArgument, CaseIterable { case asc, desc }
    @Option(
      help: ArgumentHelp(
        "asc: the oldest first, up to the limit; desc: the newest first.", valueName: "asc|desc"))
    var order: Order?

    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
      guard (1...EventQueryKey.eventLimit).contains(limit) else {
        throw ValidationError("--limit is from 1 to \(EventQueryKey.eventLimit)")
      }
      for (name, value) in [("--since", since), ("--until", until)] {
        if let value, eventTime(value) == nil {
          throw ValidationError("\(name) '\(value)' is neither RFC 3339 nor a duration such as 15m")
        }
      }
    }

    func run() throws {
      let query: [(EventQueryKey, String?)] = [
        (.sessionID, session), (.type, filter.type), (.decision, filter.decision), (.path, filter.path),
        (.since, since.flatMap { eventTime($0) }), (.until, until.flatMap { eventTime($0) }),
        (.limit, String(limit)), (.order, (order ?? .desc).rawValue),
      ]
      let target = Route.eventSearch + queryString(query.map { ($0.rawValue, $1) })
      var events = JSONArray.elements(try daemon.connect(.current()).get(target))
      if order == nil { events.reverse() }
      for event in events { Output.write(filter.json ? event + [0x0A] : EventLine.text(event)) }
      if events.isEmpty, !filter.json { Output.note("no such events") }
    }
  }

  struct Tail: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "tail", abstract: "Events of a session as they happen, until it ends.")

    @Option(help: ArgumentHelp("The session.", valueName: "id")) var session: String
    @OptionGroup var filter: Filter
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
      var stream = ServerSentEvents()
      let filter = EventFilter(filter)
      let json = self.filter.json
      try daemon.connect(.current()).stream(Route.events(percentEncoded(session))) { bytes in
        for event in stream.feed(bytes) where filter.matches(event) {
          Output.write(json ? event + [0x0A] : EventLine.text(event[...]))
        }
      }
    }
  }
}
