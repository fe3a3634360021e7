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
    var index = 0
    /// The value behind an option, which comes once.
    func take(_ place: inout String?) -> Bool {
      guard place == nil, index < end, !words[index].hasPrefix("-"), !words[index].isEmpty else {
        return false
      }
      place = words[index]
      index += 1
      return true
    }
    while index < end {
      let word = words[index]
      index += 1
      switch word {
      case "--quiet": quiet = true
      case "--allow-degraded": allowDegraded = true
      case "--allow-unenforced": policy.allowUnenforced = true
      case "--policy": if !take(&policy.name) { return nil }
      case "--with": if !take(&policy.with) { return nil }
      case "--root": if !take(&root) { return nil }
      case "--session": if !take(&session) { return nil }
      case "--config": if !take(&config) { return nil }
      case "--socket": if !take(&socket) { return nil }
      case "--keep-fd":
        var text: String?
        guard take(&text), let number = text.flatMap({ Int32($0) }) else { return nil }
        keepFD.append(number)
      default: return nil
      }
    }
    command = Array(words[(end + 1)...])
    if problem != nil { return nil }
  }
}
