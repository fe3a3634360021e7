import AgentshAPI

/// What `agentsh wrap` is asked for, however it was parsed.
package struct WrapOptions: Sendable, Equatable {
  package var policy = PolicySelection()
  package var root: String?
  package var session: String?
  package var quiet = false
  package var allowDegraded = false
  package var keepFD: [Int32] = []
  package var config: String?
  package var socket: String?
  /// The command and its arguments.
  package var command: [String] = []

  package init() {}

  /// What is wrong with the combination; nil when nothing is.
  package var problem: String? {
    if command.isEmpty { return "a command is missing: agentsh wrap [options] -- COMMAND [ARGS...]" }
    if let session {
      guard isSessionID(session) else {
        return "'\(session)' is no session id (letters, digits, _ and -, at most 128)"
      }
      let given = [
        ("--policy", policy.name != nil), ("--with", policy.with != nil), ("--root", root != nil),
        ("--allow-unenforced", policy.allowUnenforced),
      ]
      if let (name, _) = given.first(where: { $0.1 }) {
        return "\(name) cannot be used with --session: the session has its policy and workspace"
      }
    }
    if let problem = policy.problem { return problem }
    if config != nil, socket != nil {
      return "--config is for a daemon that is started; with --socket none is"
    }
    return nil
  }

  /// Reads the plain spellings without ArgumentParser, whose tables take longer to build than all the rest of the start
  /// (2 ms of 3). nil for everything that it does not know or that is wrong: then ArgumentParser has the word.
  package init?(quick words: [String]) {
    guard let end = words.firstIndex(of: "--") else { return nil }
    var values: [String: String] = [:]
    var index = 0
    while index < end {
      let word = words[index]
      index += 1
      switch word {
      case "--quiet": quiet = true
      case "--allow-degraded": allowDegraded = true
      case "--allow-unenforced": policy.allowUnenforced = true
      case "--policy", "--with", "--root", "--session", "--config", "--socket", "--keep-fd":
        guard index < end, !words[index].hasPrefix("-"), !words[index].isEmpty else { return nil }
        if word == "--keep-fd" {
          guard let number = Int32(words[index]) else { return nil }
          keepFD.append(number)
        } else if values.updateValue(words[index], forKey: word) != nil {
          return nil
        }
        index += 1
      default: return nil
      }
    }
    policy.name = values["--policy"]
    policy.with = values["--with"]
    root = values["--root"]
    session = values["--session"]
    config = values["--config"]
    socket = values["--socket"]
    command = Array(words[(end + 1)...])
    if problem != nil { return nil }
  }
}
