/// The floor: paths of ours that no policy opens, as patterns before every rule of a list.
struct Floor {
  /// The paths and what lies below them.
  let own: [GlobPattern]
  /// Their ancestors, which may not be moved or removed with them.
  let ancestors: [GlobPattern]
  /// What is not even read.
  let unread: [GlobPattern]

  init(_ paths: [String], unread: [String] = []) throws(PolicyError) {
    var own: [GlobPattern] = []
    var ancestors: [GlobPattern] = []
    // By bytes: to Swift two spellings of one character are equal.
    var known: Set<[UInt8]> = []
    for (index, path) in paths.enumerated() {
      let clean = try Self.clean(path, "floor", index)
      own += Self.whole(clean)
      var rest = clean
      while rest != "/", let slash = rest.utf8.lastIndex(of: UInt8(ascii: "/")) {
        rest = slash == rest.startIndex ? "/" : String(rest[..<slash])
        if !known.insert(Array(rest.utf8)).inserted { break }  // and so are all above it
        ancestors.append(GlobPattern(literal: rest, below: false))
      }
    }
    self.own = own
    self.ancestors = ancestors
    var all: [GlobPattern] = []
    for (index, path) in unread.enumerated() { all += Self.whole(try Self.clean(path, "trash", index)) }
    self.unread = all
  }

  private static func whole(_ path: String) -> [GlobPattern] {
    [GlobPattern(literal: path, below: false), GlobPattern(literal: path, below: true)]
  }

  private static func clean(_ path: String, _ field: String, _ index: Int) throws(PolicyError) -> String {
    if let clean = clean(path) { return clean }
    throw PolicyError(
      list: nil, ruleIndex: 0, rule: "", field: field, item: index, offset: nil,
      cause: "not an absolute path without . and ..")
  }

  private static func clean(_ path: String) -> String? {
    guard path.utf8.first == UInt8(ascii: "/") else { return nil }
    var clean = ""
    for part in path.utf8.split(separator: UInt8(ascii: "/")) {
      let name = String(Substring(part))
      if name == "." || name == ".." { return nil }
      clean += "/"
      clean += name
    }
    return clean.isEmpty ? "/" : clean
  }
}

/// A list of path rules, compiled: files or Unix sockets.
struct PathList: Sendable {
  let program: GlobProgram
  let list: RuleList
  /// Of each compiled rule; the floor's are the first `floorCount`.
  let verdicts: [Verdict]
  let operations: [UInt32]
  let operationCount: Int
  /// Of each of the author's file rules: it tells truncating from writing.
  let tellsTruncating: [Bool]
  /// What holds for each operation that no rule names.
  let defaults: [Decision]
  /// Whether one rule, or none, decides everything.
  let uniformDecision: Decision?

  /// Compiled rules that stand before the author's.
  static let floorCount = 3

  /// What the floor denies: whatever changes something.
  private static let changing = FileOperation.allCases.filter { !$0.onlyReads }
    .reduce(into: FileOperations()) { $0.insert(FileOperations($1)) }
  private static let removing: FileOperations = [
    FileOperations(.rename), FileOperations(.rmdir), FileOperations(.delete),
  ]

  private static let reading: FileOperations = [FileOperations(.open), FileOperations(.read)]

  init(files rules: [FileRule], floor: Floor, denyReads: Bool) throws(PolicyError) {
    let defaults = FileOperation.allCases.map { operation in
      if !operation.onlyReads { return Decision(.deny, .file, default: .denyFiles) }
      return denyReads
        ? Decision(.deny, .file, default: .denyReads) : Decision(.allow, .file, default: .allowReads)
    }
    try self.init(
      .file, floor, defaults: defaults,
      floorOperations: [Self.changing.rawValue, Self.removing.rawValue, Self.reading.rawValue],
      rules: rules.map { ($0.name, $0.paths, $0.operations.normalized.rawValue, $0.decision) },
      tellsTruncating: rules.map(\.tellsTruncating))
  }

  init(sockets rules: [UnixSocketRule], floor: Floor) throws(PolicyError) {
    let deny = Decision(.deny, .unixSocket, default: .denyUnix)
    try self.init(
      .unixSocket, floor, defaults: SocketOperation.allCases.map { _ in deny },
      floorOperations: [UInt32(SocketOperations.all.rawValue), 0, 0],
      rules: rules.map { ($0.name, $0.paths, UInt32($0.operations.rawValue), $0.decision) },
      tellsTruncating: [])
  }

  private init(
    _ list: RuleList, _ floor: Floor, defaults: [Decision], floorOperations: [UInt32],
    rules: [(name: String, paths: [String], operations: UInt32, verdict: Verdict)], tellsTruncating: [Bool]
  ) throws(PolicyError) {
    var patterns: [(rule: Int, pattern: GlobPattern)] = floor.own.map { (0, $0) }
    if floorOperations[1] != 0 { patterns += floor.ancestors.map { (1, $0) } }
    if floorOperations[2] != 0 { patterns += floor.unread.map { (2, $0) } }
    for (index, rule) in rules.enumerated() {
      for (item, path) in rule.paths.enumerated() {
        func refused(_ offset: Int?, _ cause: String) -> PolicyError {
          PolicyError(
            list: list, ruleIndex: index, rule: rule.name, field: "paths", item: item, offset: offset,
            cause: cause)
        }
        do throws(PatternError) {
          let pattern = try GlobPattern(path)
          if !pattern.alternatives.allSatisfy(Self.canMatch) {
            throw PatternError(offset: 0, cause: "never matches: paths are absolute, or @name for sockets")
          }
          patterns.append((index + Self.floorCount, pattern))
        } catch {
          throw refused(error.offset, error.cause)
        }
      }
    }
    guard let program = GlobProgram(patterns) else {
      throw PolicyError(
        list: list, ruleIndex: 0, rule: "", field: "paths", item: 0, offset: nil,
        cause: "the list is too large: more than \(GlobProgram.maximumStates) states")
    }
    self.program = program
    self.list = list
    verdicts = Array(repeating: .deny, count: Self.floorCount) + rules.map(\.verdict)
    operations = floorOperations + rules.map(\.operations)
    operationCount = defaults.count
    self.tellsTruncating = tellsTruncating
    self.defaults = defaults
    let all: UInt32 = (1 << UInt32(defaults.count)) - 1
    if !floor.own.isEmpty || !floor.unread.isEmpty {
      uniformDecision = nil
    } else if patterns.isEmpty {
      uniformDecision = defaults.allSatisfy { $0 == defaults[0] } ? defaults[0] : nil
    } else if let first = rules.first, first.operations & all == all, first.paths.contains("**") {
      uniformDecision = Decision(verdict: first.verdict, list: list, rule: 0)
    } else {
      uniformDecision = nil
    }
  }

  /// An author who writes `src/**` means something else than what it would do, which is nothing.
  private static func canMatch(_ elements: [GlobPattern.Element]) -> Bool {
    switch elements.first {
    case .begin(let set, _)?: set.contains(UInt8(ascii: "/")) || set.contains(UInt8(ascii: "@"))
    case .componentBytes?, .anyBytes?, .anyDepth?, .somethingBelow?: true
    case .proceed?, .endTruncated?, nil: false
    }
  }

  /// The decision of a compiled rule, or of the default of `operation` below zero.
  @inline(__always)
  func decision(_ rule: Int32, operation: Int) -> Decision {
    if rule < 0 { return defaults[operation] }
    if rule < Self.floorCount { return Decision(.deny, list, default: .floor) }
    return Decision(verdict: verdicts[Int(rule)], list: list, rule: rule - Int32(Self.floorCount))
  }
}
