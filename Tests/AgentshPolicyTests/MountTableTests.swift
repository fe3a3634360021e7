import AgentshPolicy
import Testing

/// What has several names by mounts is decided by the first rule that matches one of them.
@Suite struct MountTableTests {
  private static func mount(
    _ id: UInt32, on parent: UInt32, _ device: UInt64, _ root: String, _ point: String
  ) -> MountPoint {
    MountPoint(id: id, parent: parent, device: device, root: Array(root.utf8), point: Array(point.utf8))
  }

  /// `/data` is mounted at `/other`, its `deep` at `/near`, and something else covers `/other/covered`.
  private static let table = [
    mount(1, on: 0, 8, "/", "/"), mount(2, on: 1, 9, "/", "/proc"), mount(3, on: 1, 8, "/data", "/other"),
    mount(4, on: 1, 8, "/data/deep", "/near"), mount(5, on: 3, 10, "/", "/other/covered"),
  ]

  private func decider(
    _ rules: [(paths: [String], operations: FileOperations, decision: Verdict)], floor: [String] = []
  ) throws -> FileDecider {
    var policy = PolicyRules()
    policy.floor = floor
    policy.denyReadsByDefault = true
    policy.fileRules = rules.enumerated().map {
      FileRule(
        name: "\($0.offset)", paths: $0.element.paths, operations: $0.element.operations,
        decision: $0.element.decision)
    }
    policy.unixSocketRules = rules.enumerated().map {
      UnixSocketRule(name: "\($0.offset)", paths: $0.element.paths, decision: $0.element.decision)
    }
    policy.commandRules = rules.enumerated().map {
      CommandRule(name: "\($0.offset)", commands: $0.element.paths, decision: $0.element.decision)
    }
    var decider = FileDecider(try CompiledPolicy(policy))
    decider.know(MountTable(Self.table))
    return decider
  }

  /// The index of the rule, of files, sockets and commands alike; nil for a default.
  private func rule(_ decider: inout FileDecider, _ path: String) -> Int32? {
    let bytes = Array(path.utf8)
    let decision = decider.decide(.read, path: bytes.span)
    let both = decider.decideAll([.init(.read), .init(.write)], path: bytes.span)
    let socket = decider.decideSocket(.connect, path: bytes.span)
    let command = decider.decideCommand(
      CommandRequest(canonical: bytes, called: bytes, calledNameCounts: false, arguments: [], depth: 1))
    for same in [both, socket, command] {
      #expect(max(same.rule, -1) == max(decision.rule, -1), "\(path)")
    }
    return decision.rule < 0 ? nil : decision.rule
  }

  @Test func `a rule holds for every name`() throws {
    var names = try decider([(["/data/deep/secret"], .all, .deny), (["/data/**"], .all, .allow)])
    for path in ["/data/deep/secret", "/other/deep/secret", "/near/secret"] {
      #expect(rule(&names, path) == 0, "\(path)")
    }
    for path in ["/data/x", "/other/x", "/near/x", "/data/deep", "/other/deep", "/near", "/data/covered/x"] {
      #expect(rule(&names, path) == 1, "\(path)")
    }
    for path in ["/other/covered/x", "/nearby/x", "/dat", "/", "/proc/x", "/others"] {
      #expect(rule(&names, path) == nil, "\(path)")
    }
    // A rule for the narrow name holds for the wide ones too, and the first rule is the first whatever its name.
    names = try decider([(["/near/*"], .all, .allow), (["/data/**", "/other/**"], .all, .deny)])
    for path in ["/data/deep/x", "/other/deep/x", "/near/x"] {
      #expect(rule(&names, path) == 0)
      #expect(rule(&names, path + "/y") == 1)
    }
  }

  @Test func `the floor holds for every name`() throws {
    var names = try decider([(["/**"], .all, .allow)], floor: ["/data/deep/state"])
    for path in ["/near/state", "/other/deep/state/x", "/data/deep/state"] {
      let bytes = Array(path.utf8)
      let decision = names.decide(.write, path: bytes.span)
      #expect(decision.verdict == .deny && decision.rule == Decision.Default.floor.rawValue, "\(path)")
    }
    let beside = Array("/near/x".utf8)
    let mayWrite = names.decide(.write, path: beside.span).permits
    #expect(mayWrite)
    // Nor can what leads there be moved, by any name.
    for path in ["/near", "/other/deep", "/other"] {
      let bytes = Array(path.utf8)
      let mayMove = names.decide(.rename, path: bytes.span).permits
      #expect(!mayMove, "\(path)")
    }
  }

  @Test func `each of two policies is asked by all names`() throws {
    var main = PolicyRules()
    main.fileRules = [FileRule(name: "all", paths: ["/**"], decision: .allow)]
    var own = PolicyRules()
    own.fileRules = [
      FileRule(name: "no", paths: ["/near/**"], decision: .deny),
      FileRule(name: "all", paths: ["/**"], decision: .allow),
    ]
    var decider = FileDecider(try CompiledPolicy(try SessionRules(main, narrowedBy: own)))
    let path = Array("/data/deep/x".utf8)
    let before = decider.decide(.read, path: path.span)
    decider.know(MountTable(Self.table))
    let decision = decider.decide(.read, path: path.span)
    decider.know(nil)
    let after = decider.decide(.read, path: path.span)
    #expect(before.permits && after.permits)
    #expect(!decision.permits && decision.source == .narrowing)
  }

  @Test func `a move is judged by all names`() throws {
    var names = try decider([(["/near/**"], .all, .deny), (["/**"], .all, .allow)])
    func loosened(_ old: String, _ new: String) -> PolicySource? {
      let (old, new) = (Array(old.utf8), Array(new.utf8))
      return names.loosened(from: old.span, to: new.span)
    }
    func keepsRules(_ old: String, _ new: String) -> Bool {
      let (old, new) = (Array(old.utf8), Array(new.utf8))
      return names.keepsRules(from: old.span, to: new.span)
    }
    #expect(loosened("/data/deep/x", "/data/x") == .main)
    #expect(loosened("/data/x", "/data/deep/x") == nil)
    #expect(!keepsRules("/data/deep/x", "/data/x") && !keepsRules("/data/x", "/other/deep/x"))
    #expect(keepsRules("/data/deep/x", "/other/deep/y") && keepsRules("/data/x", "/other/y"))
    let aliases = try #require(MountTable(Self.table))
    for path in ["/data", "/data/deep", "/other", "/other/deep", "/near"] {
      let bytes = Array(path.utf8)
      let isHeld = aliases.hang(on: bytes.span)
      #expect(isHeld, "\(path)")
    }
    for path in ["/data/x", "/dat", "/data/deep/x", "/proc", "/nearby"] {
      let bytes = Array(path.utf8)
      let isHeld = aliases.hang(on: bytes.span)
      #expect(!isHeld, "\(path)")
    }
  }

  @Test func `mounts that share nothing give no names`() {
    #expect(MountTable(Array(Self.table.prefix(2))) == nil)
    #expect(MountTable([]) == nil)
    // Two directories of one file system, neither in the other.
    #expect(
      MountTable([
        Self.mount(1, on: 0, 8, "/", "/"), Self.mount(2, on: 1, 9, "/a", "/x"),
        Self.mount(3, on: 1, 9, "/ab", "/y"),
      ]) == nil)
  }

  @Test func `nothing is permitted on a mount that is closed`() throws {
    var table = Self.table
    table.append(
      MountPoint(id: 6, parent: 1, device: 9, root: [], point: Array("/jail/proc".utf8), isClosed: true))
    table.append(Self.mount(7, on: 6, 11, "/", "/jail/proc/tmp"))
    for mounts in [try #require(MountTable(table)), try #require(MountTable(Array(table[5...])))] {
      var decider = try decider([(["/**"], .all, .allow)])
      decider.know(mounts)
      for path in ["/jail/proc", "/jail/proc/1/mem", "/jail/proc/self"] {
        let bytes = Array(path.utf8)
        let file = decider.decide(.read, path: bytes.span)
        let all = decider.decideAll(.all, path: bytes.span)
        let socket = decider.decideSocket(.connect, path: bytes.span)
        let command = decider.decideCommand(
          CommandRequest(canonical: bytes, called: bytes, calledNameCounts: false, arguments: [], depth: 1))
        for decision in [file, all, socket, command] {
          #expect(!decision.permits && decision.rule == Decision.Default.floor.rawValue, "\(path)")
        }
      }
      for path in ["/jail", "/jail/process", "/jail/proc/tmp/x"] {
        #expect(rule(&decider, path) == 0, "\(path)")
      }
    }
  }

  // MARK: - Against a model of what the kernel does

  /// Mounts are put on places of other mounts; a path is followed name by name.
  private struct World {
    struct Mounted {
      let id, parent: UInt32
      let device: UInt64
      let root: [String]
      /// Where on the parent's file system.
      let place: [String]
      let point: [String]
    }
    var mounts = [Mounted(id: 1, parent: 0, device: 1, root: [], place: [], point: [])]

    func resolve(_ path: [String]) -> (mount: Int, inside: [String]) {
      var (current, inside) = (0, [String]())
      func cross() {
        while let next = mounts.lastIndex(where: { $0.parent == mounts[current].id && $0.place == inside }) {
          (current, inside) = (next, mounts[next].root)
        }
      }
      cross()
      for name in path {
        inside.append(name)
        cross()
      }
      return (current, inside)
    }

    func isSame(_ a: [String], _ b: [String]) -> Bool {
      let (one, other) = (resolve(a), resolve(b))
      return mounts[one.mount].device == mounts[other.mount].device && one.inside == other.inside
    }

    mutating func mount(_ source: [String]?, at target: [String]) {
      let at = resolve(target)
      let from = source.map(resolve)
      mounts.append(
        Mounted(
          id: UInt32(mounts.count + 1), parent: mounts[at.mount].id,
          device: from.map { mounts[$0.mount].device } ?? UInt64(mounts.count + 1),
          root: from?.inside ?? [], place: at.inside, point: target))
    }

    var table: [MountPoint] {
      mounts.map {
        MountTableTests.mount(
          $0.id, on: $0.parent, $0.device, "/" + $0.root.joined(separator: "/"),
          "/" + $0.point.joined(separator: "/"))
      }
    }
  }

  @Test func `the names are those under which the kernel finds the same`() throws {
    var paths: [[String]] = [[]]
    for depth in 0..<3 {
      for path in paths where path.count == depth { paths += [path + ["a"], path + ["b"]] }
    }
    var random = Seeded(state: 7)
    var (tables, pairs) = (0, 0)
    let policies = try paths.map { path in
      var rules = PolicyRules()
      rules.fileRules = [
        FileRule(name: "one", paths: ["/" + path.joined(separator: "/")], decision: .deny)
      ]
      return try CompiledPolicy(rules)
    }
    var limits = PathCacheLimits()
    (limits.states, limits.cells, limits.members) = (64, 4096, 4096)
    for _ in 0..<1000 {
      var world = World()
      for _ in 0..<Int.random(in: 1...5, using: &random) {
        let source = Int.random(in: 0..<5, using: &random) == 0 ? nil : paths.randomElement(using: &random)
        world.mount(source, at: paths.randomElement(using: &random) ?? [])
      }
      guard let aliases = MountTable(world.table) else { continue }
      tables += 1
      for (index, name) in paths.enumerated() {
        var decider = FileDecider(policies[index], limits: limits)
        decider.know(aliases)
        for path in paths {
          let bytes = Array(("/" + path.joined(separator: "/")).utf8)
          let isDenied = !decider.decide(.read, path: bytes.span).permits
          #expect(isDenied == world.isSame(name, path), "\(name) \(path) \(world.mounts)")
          if isDenied, name != path { pairs += 1 }
        }
      }
    }
    #expect(tables > 500 && pairs > 3000, "\(tables) \(pairs)")
  }
}
