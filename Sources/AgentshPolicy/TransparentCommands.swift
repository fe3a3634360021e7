/// Commands that start another command from their arguments: what they start is looked at together with them.
package struct TransparentCommands: Sendable {
  private let added: [Glob]
  private let removed: [Glob]

  /// `adding` and `removing` are base names or globs of them (`transparent_commands` of a policy).
  package init(adding: [String], removing: [String]) throws(PatternError) {
    var added: [Glob] = []
    var removed: [Glob] = []
    for name in adding { added.append(try Glob(name, ignoringCase: true)) }
    for name in removing { removed.append(try Glob(name, ignoringCase: true)) }
    self.added = added
    self.removed = removed
  }

  /// The command line that `argv` would start, by the base name of `argv[0]`; its first element may lack a directory
  /// (`busybox ls`, `env ls`). nil: not transparent, or not surely understood; the command inside is decided
  /// when it starts anyway. Unwraps one layer.
  package func payload(of argv: [[UInt8]]) -> [[UInt8]]? {
    guard let path = argv.first else { return nil }
    let base = path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
    let name = String(decoding: base, as: UTF8.self)
    if name.isEmpty || removed.contains(where: { $0.matches(name) }) { return nil }
    let key = name.hasPrefix("ld-linux") ? "ld-linux" : name
    let grammar =
      WrapperGrammar.builtIn[key] ?? (added.contains { $0.matches(name) } ? WrapperGrammar() : nil)
    guard let grammar, let start = grammar.payloadIndex(argv.map { String(decoding: $0, as: UTF8.self) })
    else { return nil }
    return Array(argv[start...])
  }
}

/// How the command line of a wrapper reads up to the command inside.
struct WrapperGrammar: Sendable {
  /// Letters of short options without and with a value.
  var flags = ""
  var values = ""
  /// Long options without and with a value.
  var longFlags: Set<String> = []
  var longValues: Set<String> = []
  /// Arguments before the command; they are numbers or durations.
  var numbers = 0
  /// `NAME=VALUE` may stand before the command.
  var takesAssignments = false
  /// `-10` is an option (nice).
  var takesNumberOptions = false

  /// Index of the command in `argv`; nil where an argument is not known.
  func payloadIndex(_ argv: [String]) -> Int? {
    guard var index = afterOptions(argv) else { return nil }
    while takesAssignments, index < argv.count, argv[index].dropFirst().contains("=") { index += 1 }
    for _ in 0..<numbers {
      guard index < argv.count, argv[index].first?.isNumber ?? false else { return nil }
      index += 1
    }
    return index < argv.count && !argv[index].isEmpty ? index : nil
  }

  private func afterOptions(_ argv: [String]) -> Int? {
    var index = 1
    while index < argv.count {
      let argument = argv[index]
      if argument == "--" { return index + 1 }
      if argument == "-" {
        if !takesAssignments { return nil }
      } else if argument.hasPrefix("--") {
        guard let used = long(String(argument.dropFirst(2))) else { return nil }
        index += used
      } else if argument.hasPrefix("-") {
        if takesNumberOptions, Int(argument.dropFirst()) != nil {
          index += 1
          continue
        }
        guard let used = short(argument.dropFirst()) else { return nil }
        index += used
      } else {
        return index
      }
      index += 1
    }
    return index
  }

  /// How many more arguments a long option takes; nil: not known.
  private func long(_ option: String) -> Int? {
    guard let equals = option.firstIndex(of: "=") else {
      return longFlags.contains(option) ? 0 : longValues.contains(option) ? 1 : nil
    }
    return longFlags.union(longValues).contains(String(option[..<equals])) ? 0 : nil
  }

  private func short(_ bundle: Substring) -> Int? {
    var rest = bundle
    while let letter = rest.popFirst() {
      if values.contains(letter) { return rest.isEmpty ? 1 : 0 }
      if !flags.contains(letter) { return nil }
    }
    return 0
  }
}

extension WrapperGrammar {
  /// What is missing from an entry on purpose makes the wrapper do something else than run its arguments: a shell
  /// (`sudo -s`), an editor, a process that runs already (`strace -p`), a string to split (`env -S`).
  static let builtIn: [String: WrapperGrammar] = [
    "env": WrapperGrammar(
      flags: "iv0", values: "uC",
      longFlags: [
        "ignore-environment", "null", "debug", "block-signal", "default-signal", "ignore-signal",
        "list-signal-handling",
      ], longValues: ["unset", "chdir"], takesAssignments: true),
    "nice": WrapperGrammar(values: "n", longValues: ["adjustment"], takesNumberOptions: true),
    "nohup": WrapperGrammar(),
    "sudo": WrapperGrammar(
      flags: "AbEHknPSB", values: "CDghpRTtur",
      longFlags: [
        "askpass", "background", "preserve-env", "set-home", "non-interactive", "preserve-groups", "stdin",
      ],
      longValues: ["user", "group", "host", "prompt", "chdir", "chroot", "command-timeout", "role", "type"],
      takesAssignments: true),
    "doas": WrapperGrammar(flags: "nL", values: "Cu"),
    "time": WrapperGrammar(
      flags: "vpaq", values: "fo", longFlags: ["verbose", "portability", "append", "quiet"],
      longValues: ["format", "output"]),
    "timeout": WrapperGrammar(
      flags: "vf", values: "ks", longFlags: ["foreground", "preserve-status", "verbose"],
      longValues: ["kill-after", "signal"], numbers: 1),
    "xargs": WrapperGrammar(
      flags: "0oprtx", values: "adEILnPs",
      longFlags: [
        "null", "open-tty", "interactive", "no-run-if-empty", "verbose", "exit", "max-lines", "replace",
      ],
      longValues: [
        "arg-file", "delimiter", "max-args", "max-procs", "max-chars", "process-slot-var",
      ]),
    "stdbuf": WrapperGrammar(values: "ioe", longValues: ["input", "output", "error"]),
    "setsid": WrapperGrammar(flags: "cfw", longFlags: ["ctty", "fork", "wait"]),
    "ionice": WrapperGrammar(
      flags: "t", values: "cn", longFlags: ["ignore"], longValues: ["class", "classdata"]),
    "chrt": WrapperGrammar(
      flags: "bfiordRv", values: "TPD",
      longFlags: ["batch", "fifo", "idle", "other", "rr", "deadline", "reset-on-fork", "verbose"],
      longValues: ["sched-runtime", "sched-period", "sched-deadline"], numbers: 1),
    "busybox": WrapperGrammar(),
    "strace": WrapperGrammar(flags: "fFcCdDiknNqrtTvwxyzZA", values: "abeEIoOPsSuUX"),
    "ltrace": WrapperGrammar(flags: "cCfiLrStT", values: "aAbDeFlnosuwx"),
    "ld-linux": WrapperGrammar(
      longFlags: ["inhibit-cache"],
      longValues: [
        "library-path", "inhibit-rpath", "audit", "preload", "argv0", "glibc-hwcaps-prepend",
        "glibc-hwcaps-mask",
      ]),
  ]
}
