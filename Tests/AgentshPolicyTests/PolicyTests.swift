import AgentshPolicy
import Testing

func file(_ name: String, _ paths: [String], _ decision: Verdict, _ operations: FileOperations = .all)
  -> FileRule
{
  FileRule(name: name, paths: paths, operations: operations, decision: decision)
}

func operations(_ list: FileOperation...) -> FileOperations {
  list.reduce(into: []) { $0.insert(FileOperations($1)) }
}

/// A policy and its decider, asked with strings and answered with rule names.
final class Asked {
  let policy: CompiledPolicy
  var decider: FileDecider

  init(_ build: (inout PolicyRules) throws -> Void) throws {
    var rules = PolicyRules()
    try build(&rules)
    policy = try CompiledPolicy(rules)
    decider = FileDecider(policy)
  }

  func file(_ operation: FileOperation, _ path: String) -> String {
    let bytes = Array(path.utf8)
    let decision = decider.decide(operation, path: bytes.span)
    return "\(decision.verdict.word) \(policy.ruleName(decision))"
  }

  func all(_ operations: FileOperations, _ path: String) -> String {
    let bytes = Array(path.utf8)
    let decision = decider.decideAll(operations, path: bytes.span)
    return "\(decision.verdict.word) \(policy.ruleName(decision))"
  }

  func socket(_ operation: SocketOperation, _ path: String) -> String {
    let bytes = Array(path.utf8)
    let decision = decider.decideSocket(operation, path: bytes.span)
    return "\(decision.verdict.word) \(policy.ruleName(decision))"
  }

  func isUniform(_ path: String, _ operations: FileOperations) -> Bool {
    let bytes = Array(path.utf8)
    return decider.isUniform(below: bytes.span, operations)
  }
}

struct FilePolicyTests {
  @Test("The first rule that matches wins, in the order of the file")
  func firstMatchWins() throws {
    let asked = try Asked {
      $0.fileRules = [
        file("secret", ["**/.env"], .deny), file("work", ["/code", "/code/**"], .allow),
        file("late", ["/code/x"], .deny),
      ]
    }
    #expect(asked.file(.write, "/code/a/.env") == "deny secret")
    #expect(asked.file(.write, "/code/x") == "allow work")
    #expect(asked.file(.mkdir, "/code") == "allow work")
    #expect(asked.file(.write, "/coder") == "deny default-deny-files")
    #expect(asked.file(.stat, "/coder") == "allow default-allow-reads")
  }

  @Test("open and read govern one another")
  func openIsRead() throws {
    let asked = try Asked {
      $0.fileRules = [
        file("r", ["/r"], .deny, operations(.read)), file("o", ["/o"], .deny, operations(.open)),
        file("w", ["/w"], .allow, operations(.write)),
      ]
    }
    for operation in [FileOperation.open, .read] {
      #expect(asked.file(operation, "/r") == "deny r")
      #expect(asked.file(operation, "/o") == "deny o")
      #expect(asked.file(operation, "/w") == "allow default-allow-reads")
    }
    #expect(asked.file(.stat, "/r") == "allow default-allow-reads")
  }

  @Test("With file_default deny nothing unnamed is read")
  func readsDenied() throws {
    let asked = try Asked { $0.denyReadsByDefault = true }
    #expect(asked.file(.open, "/etc/passwd") == "deny default-deny-reads")
    #expect(asked.file(.write, "/etc/passwd") == "deny default-deny-files")
  }

  @Test("Of several operations the strictest counts")
  func strictest() throws {
    let asked = try Asked {
      $0.fileRules = [
        file("create", ["/a"], .approve, operations(.create)),
        file("truncate", ["/a"], .audit, operations(.truncate)),
        file("rest", ["/a"], .allow),
      ]
    }
    #expect(asked.all(operations(.open, .write), "/a") == "allow rest")
    #expect(asked.all(operations(.open, .write, .truncate), "/a") == "audit truncate")
    #expect(asked.all(operations(.open, .write, .truncate, .create), "/a") == "approve create")
    #expect(asked.all(operations(.write, .create), "/b") == "deny default-deny-files")
    #expect(asked.all([], "/a") == "deny agentsh-unresolved")
    let order: [Verdict] = [.deny, .approve, .softDelete, .redirect, .audit, .allow]
    for (stricter, milder) in zip(order, order.dropFirst()) {
      #expect(stricter.strictness > milder.strictness)
    }
  }

  @Test("The floor comes before every rule")
  func floor() throws {
    let asked = try Asked {
      $0.floor = ["/run/user/1000/agentsh", "/srv/*/policy/", "/opt/agentsh"]
      $0.fileRules = [file("all", ["**"], .allow)]
      $0.unixSocketRules = [UnixSocketRule(name: "all", paths: ["**"], decision: .allow)]
    }
    for path in ["/run/user/1000/agentsh", "/run/user/1000/agentsh/x/y", "/srv/*/policy", "/opt/agentsh/bin"]
    {
      for operation in FileOperation.allCases {
        #expect(
          asked.file(operation, path) == (operation.onlyReads ? "allow all" : "deny agentsh-floor"),
          "\(operation)")
      }
      for operation in SocketOperation.allCases {
        #expect(asked.socket(operation, path) == "deny agentsh-floor")
      }
    }
    for path in ["/", "/run", "/run/user/1000", "/srv/*", "/opt"] {
      for operation in [FileOperation.rename, .rmdir, .delete] {
        #expect(asked.file(operation, path) == "deny agentsh-floor", "\(operation) \(path)")
      }
      #expect(asked.file(.chmod, path) == "allow all")
      #expect(asked.socket(.bind, path) == "allow all")
    }
    #expect(asked.file(.write, "/run/user/1000/agentshx") == "allow all")
    #expect(asked.file(.write, "/srv/a/policy") == "allow all")
    #expect(asked.file(.rename, "/run/other") == "allow all")
  }

  @Test("Where reading is denied anywhere, the trash is not read", arguments: [true, false])
  func trash(restricted: Bool) throws {
    let asked = try Asked {
      $0.trash = ["/home/u/trash"]
      $0.fileRules = [file("all", ["**"], .allow)]
      if restricted { $0.fileRules.insert(file("secret", ["/s"], .deny, FileOperations(.read)), at: 0) }
    }
    for path in ["/home/u/trash", "/home/u/trash/files/x"] {
      for operation in [FileOperation.open, .read] {
        #expect(asked.file(operation, path) == (restricted ? "deny agentsh-floor" : "allow all"))
      }
      // Whether it is changed is the floor's, which has it where anything is deleted softly.
      #expect(asked.file(.write, path) == "allow all" && asked.file(.stat, path) == "allow all")
    }
    #expect(asked.file(.read, "/home/u") == "allow all")
    #expect(throws: PolicyError.self) {
      _ = try Asked {
        $0.trash = ["x"]; $0.denyReadsByDefault = true
      }
    }
  }

  @Test("Ancestors of the floor that are written differently are different")
  func floorByBytes() throws {
    let names = ["/home/caf\u{e9}", "/home/cafe\u{301}"]
    let asked = try Asked {
      $0.floor = names.map { $0 + "/state" }
      $0.fileRules = [file("all", ["**"], .allow)]
    }
    for name in names + ["/home"] {
      #expect(asked.file(.rename, name) == "deny agentsh-floor", "\(Array(name.utf8))")
    }
  }

  @Test("A floor that is not an absolute clean path is refused", arguments: ["", "run", "/a/../b", "/a/./b"])
  func badFloor(_ path: String) {
    #expect(throws: PolicyError.self) { _ = try Asked { $0.floor = [path] } }
  }

  @Test("A directory is uniform only if nothing below it could be decided otherwise")
  func uniform() throws {
    let both = operations(.rename, .write)
    let asked = try Asked {
      $0.floor = ["/home/u/.agentsh"]
      $0.fileRules = [
        file("deny", ["/w/secret/**", "/w/*.key"], .deny), file("x", ["/w/x/**"], .allow, operations(.write)),
        file("w", ["/w/**"], .allow), file("logs", ["/logs/a/**"], .audit),
        file("home", ["/home/**"], .allow),
      ]
    }
    #expect(asked.isUniform("/w/src", both))
    #expect(asked.isUniform("/w/src/", both))
    #expect(asked.isUniform("/w/x", both))
    #expect(asked.isUniform("/w/secrets", both))
    #expect(!asked.isUniform("/w/secret", both))
    #expect(!asked.isUniform("/w", both))
    #expect(!asked.isUniform("/", both))
    #expect(!asked.isUniform("/nowhere", both))
    #expect(asked.isUniform("/nowhere", operations(.open)))
    #expect(asked.isUniform("/logs/a", both))
    #expect(!asked.isUniform("/logs", both))
    #expect(asked.isUniform("/home/v", both))
    #expect(!asked.isUniform("/home/u", both))
    #expect(!asked.isUniform("/home", both))
    #expect(!asked.isUniform("", both))
    #expect(!asked.isUniform("/w/src", []))
  }

  @Test("A name that could lie anywhere makes no directory uniform")
  func anywhere() throws {
    let asked = try Asked { $0.fileRules = [file("env", ["**/.env"], .deny), file("all", ["/**"], .allow)] }
    #expect(!asked.isUniform("/w", operations(.rename)))
  }

  @Test("An error says which rule, field and byte")
  func errors() {
    let error = #expect(throws: PolicyError.self) {
      _ = try Asked { $0.fileRules = [file("a", ["/x"], .allow), file("b", ["/x", "/[a"], .deny)] }
    }
    #expect(error?.ruleIndex == 1 && error?.rule == "b" && error?.field == "paths" && error?.item == 1)
    #expect(error?.offset == 1)
    #expect(throws: PolicyError.self) { _ = try Asked { $0.fileRules = [file("a", ["src/**"], .allow)] } }
  }

  @Test("Sockets: paths, abstract names, operations, the default")
  func sockets() throws {
    let asked = try Asked {
      $0.unixSocketRules = [
        UnixSocketRule(name: "docker", paths: ["/var/run/docker.sock", "@docker*"], decision: .deny),
        UnixSocketRule(name: "tmp", paths: ["/tmp/**"], decision: .allow),
      ]
      $0.unixSocketRules[1].operations = SocketOperations(.connect)
    }
    #expect(asked.socket(.connect, "/var/run/docker.sock") == "deny docker")
    #expect(asked.socket(.connect, "@docker/1") == "deny default-deny-unix")
    #expect(asked.socket(.connect, "@docker1") == "deny docker")
    #expect(asked.socket(.connect, "/tmp/x/y") == "allow tmp")
    #expect(asked.socket(.bind, "/tmp/x/y") == "deny default-deny-unix")
    #expect(asked.policy.unixIsUniform == nil)
  }

  @Test("One answer for every socket is found where there is one")
  func uniformSockets() throws {
    let none = try Asked { _ in }
    #expect(none.policy.unixIsUniform?.verdict == .deny)
    let all = try Asked { $0.unixSocketRules = [UnixSocketRule(name: "a", paths: ["**"], decision: .allow)] }
    #expect(all.policy.unixIsUniform?.verdict == .allow)
    let floor = try Asked {
      $0.unixSocketRules = [UnixSocketRule(name: "a", paths: ["**"], decision: .allow)]
      $0.floor = ["/run/x"]
    }
    #expect(floor.policy.unixIsUniform == nil)
  }
}
