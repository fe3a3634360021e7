import AgentshPolicy
import Testing

struct CommandTests {
  private static func decide(
    _ rules: [CommandRule], _ canonical: String, called: String? = nil, counts: Bool = true,
    args: String = "",
    depth: UInt32 = 1
  ) throws -> String {
    var all = PolicyRules()
    all.commandRules = rules
    let policy = try CompiledPolicy(all)
    var decider = FileDecider(policy)
    let decision = decider.decideCommand(
      CommandRequest(
        canonical: Array(canonical.utf8), called: Array((called ?? canonical).utf8), calledNameCounts: counts,
        arguments: Array(args.utf8), depth: depth))
    return "\(decision.verdict.word) \(policy.ruleName(decision))"
  }

  private static func rule(_ name: String, _ commands: [String], _ decision: Verdict, args: [String] = [])
    -> CommandRule
  {
    var rule = CommandRule(name: name, commands: commands, decision: decision)
    rule.argumentPatterns = args
    return rule
  }

  @Test("Names with a slash are paths, names without are base names in any case")
  func names() throws {
    let rules = [
      Self.rule("path", ["/opt/x/*"], .deny), Self.rule("base", ["GCC-*", "ls"], .allow),
      Self.rule("exact", ["/usr/bin/Make"], .audit),
    ]
    #expect(try Self.decide(rules, "/opt/x/ls") == "deny path")
    #expect(try Self.decide(rules, "/usr/bin/ls") == "allow base")
    #expect(try Self.decide(rules, "/usr/bin/LS") == "allow base")
    #expect(try Self.decide(rules, "/usr/bin/gcc-12") == "allow base")
    #expect(try Self.decide(rules, "/usr/bin/Make") == "audit exact")
    #expect(try Self.decide(rules, "/usr/bin/make") == "deny default-deny-execve")
    #expect(try Self.decide(rules, "/usr/bin/make", depth: 0) == "deny default-deny-commands")
    #expect(try Self.decide(rules, "/ls/other") == "deny default-deny-execve")
  }

  @Test("A rule without commands is for all, and so is *")
  func everything() throws {
    #expect(try Self.decide([Self.rule("all", [], .allow)], "/a/b") == "allow all")
    #expect(try Self.decide([Self.rule("all", ["*"], .allow)], "/a/b") == "allow all")
  }

  @Test("Of two names the stricter explicit match counts, and a name without a match has no opinion")
  func twoNames() throws {
    let python = [Self.rule("python", ["python3"], .allow)]
    #expect(try Self.decide(python, "/usr/bin/python3.11", called: "/usr/bin/python3") == "allow python")
    #expect(
      try Self.decide(python, "/usr/bin/python3.11", called: "/usr/bin/python3", counts: false)
        == "deny default-deny-execve")
    let both = [Self.rule("vi", ["vi"], .allow), Self.rule("vim", ["vim.basic"], .deny)]
    #expect(try Self.decide(both, "/usr/bin/vim.basic", called: "/usr/bin/vi") == "deny vim")
    #expect(try Self.decide(both, "/usr/bin/vi", called: "/usr/bin/vim.basic") == "deny vim")
    #expect(try Self.decide(both, "/usr/bin/x", called: "/usr/bin/y") == "deny default-deny-execve")
  }

  @Test("Arguments are searched, and a rule whose arguments do not match is passed over")
  func arguments() throws {
    let rules = [
      Self.rule("force", ["rm"], .deny, args: [".*-rf.*", "(^| )--force( |$)"]),
      Self.rule("rm", ["rm"], .allow),
    ]
    #expect(try Self.decide(rules, "/bin/rm", args: "-rf /") == "deny force")
    #expect(try Self.decide(rules, "/bin/rm", args: "a --force") == "deny force")
    #expect(try Self.decide(rules, "/bin/rm", args: "a --forced") == "allow rm")
    var all = PolicyRules()
    all.commandRules = rules
    #expect(try CompiledPolicy(all).commandsNeedArguments)
    all.commandRules = [rules[1]]
    #expect(try !CompiledPolicy(all).commandsNeedArguments)
  }

  @Test("Depth bounds hold; a process whose ancestry is not known is inside")
  func depth() throws {
    var direct = Self.rule("direct", ["sh"], .allow)
    direct.maxDepth = 0
    var nested = Self.rule("nested", ["sh"], .audit)
    nested.minDepth = 1
    #expect(try Self.decide([direct, nested], "/bin/sh", depth: 0) == "allow direct")
    #expect(try Self.decide([direct, nested], "/bin/sh", depth: 1) == "audit nested")
    #expect(try Self.decide([direct, nested], "/bin/sh", depth: .max) == "audit nested")
  }

  @Test(
    "The command inside a transparent one is found, or nothing when in doubt",
    arguments: [
      ("env A=b -- ls", nil), ("env -- A=b ls -l", "ls -l"), ("/usr/bin/env -i -u X A=b prog x", "prog x"),
      ("env -S x", nil), ("env", nil), ("nice -n 5 make", "make"), ("nice -10 make -j", "make -j"),
      ("nohup sleep 1", "sleep 1"), ("sudo -u root -E ls", "ls"), ("sudo -s", nil), ("sudo X=1 ls", "ls"),
      ("timeout -k 5 10s curl x", "curl x"), ("timeout --signal=KILL 1m a", "a"), ("timeout x y", nil),
      ("xargs -0 -n1 rm -f", "rm -f"), ("xargs -n 1 rm", "rm"), ("xargs -I {} mv {} x", "mv {} x"),
      ("xargs", nil),
      ("stdbuf -oL cat", "cat"), ("setsid -w sh", "sh"), ("ionice -c 3 ls", "ls"), ("ionice -p 1", nil),
      ("chrt -f 10 x", "x"), ("busybox wget u", "wget u"), ("busybox --list", nil),
      ("strace -f -o log ls", "ls"),
      ("strace -p 1", nil), ("/lib64/ld-linux-x86-64.so.2 --argv0 a /bin/ls", "/bin/ls"),
      ("ld-linux.so.2 --list /bin/ls", nil), ("ls -l", nil), ("wrapper x y", "x y"), ("wrapper -x y", nil),
      ("doas ls", nil),
    ])
  func payload(_ row: (line: String, payload: String?)) throws {
    let commands = try TransparentCommands(adding: ["wrap*"], removing: ["doas"])
    let argv = row.line.split(separator: " ").map { Array($0.utf8) }
    let found = commands.payload(of: argv)?.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    // `env A=b -- ls` runs the program called --.
    #expect(found == (row.line == "env A=b -- ls" ? "-- ls" : row.payload))
  }
}
