import AgentshPolicy

extension PolicyReader {
  mutating func readSettings(_ fields: Fields) {
    if let node = fields["resource_limits"] { readResourceLimits(node) }
    if let node = fields["env_policy"] { readEnvironmentPolicy(node) }
    if let node = fields["env_inject"] { rules.environment.inject = environment(node, "env_inject") }
    if let node = fields["audit"] { readAudit(node) }
    if let node = fields["transparent_commands"] { readTransparentCommands(node) }
  }

  private mutating func readResourceLimits(_ node: YAMLNode) {
    let numbers = [
      "max_memory_mb", "memory_swap_max_mb", "cpu_quota_percent", "disk_read_bps_max", "disk_write_bps_max",
      "net_bandwidth_mbps", "pids_max",
    ]
    let times = ["command_timeout", "session_timeout", "idle_timeout"]
    guard let fields = Fields(node, "resource_limits", keys: numbers + times, &problems) else { return }
    for key in numbers + times {
      guard let value = fields[key] else { continue }
      if times.contains(key) {
        _ = value.duration(key, &problems)
      } else {
        _ = value.integer(key, in: 0...Int.max, &problems)
      }
      unenforced(fields.place(of: key), "resource_limits.\(key)", "there is no limit")
    }
  }

  private mutating func readEnvironmentPolicy(_ node: YAMLNode) {
    let keys = ["allow", "deny", "max_bytes", "max_keys", "block_iteration"]
    guard let fields = Fields(node, "env_policy", keys: keys, &problems) else { return }
    rules.environment.allow = namePatterns(fields["allow"], "allow")
    rules.environment.deny = namePatterns(fields["deny"], "deny")
    // An allow list means "only these": one whose every entry was wrong must not come out as no list.
    if rules.environment.allow.isEmpty, fields["allow"] != nil {
      problems.add(
        fields.place(of: "allow"), "allow is empty, which would let nothing through and is read as no list",
        wayOut: "remove it, or name what may pass")
    }
    let range = 0...Int(Int32.max)
    rules.environment.maxBytes = fields["max_bytes"]?.integer("max_bytes", in: range, &problems).map {
      UInt32($0)
    }
    rules.environment.maxKeys = fields["max_keys"]?.integer("max_keys", in: range, &problems).map {
      UInt32($0)
    }
    if let node = fields["block_iteration"], node.bool("block_iteration", &problems) == true {
      unenforced(
        fields.place(of: "block_iteration"), "env_policy.block_iteration",
        "a program can list the variables that reach it")
    }
  }

  private mutating func namePatterns(_ node: YAMLNode?, _ what: String) -> [String] {
    var names: [String] = []
    for (text, place) in node?.texts(what, &problems) ?? [] {
      if text.isEmpty || text.contains("=") {
        problems.add(place, "\"\(text)\" matches no variable's name", wayOut: "such as PATH or AWS_*")
      } else {
        names.append(text)
      }
    }
    return names
  }

  /// Variables and their values.
  mutating func environment(_ node: YAMLNode, _ what: String) -> [String: String] {
    var result: [String: String] = [:]
    for (key, place, value) in node.textMap(what, &problems) {
      if key.isEmpty || key.contains("=") || key.utf8.contains(0) {
        problems.add(place, "\"\(key)\" cannot be the name of a variable")
      } else if value.isNull {
        result[key] = ""
      } else if let text = value.text("the variable \(key)", &problems) {
        result[key] = text
      }
    }
    return result
  }

  private mutating func readAudit(_ node: YAMLNode) {
    let flags = [
      "log_allowed", "log_denied", "log_approved", "include_stdout", "include_stderr", "include_file_content",
    ]
    guard let fields = Fields(node, "audit", keys: flags + ["retention_days"], &problems) else { return }
    var values: [String: Bool] = [:]
    for key in flags { values[key] = fields[key]?.bool(key, &problems) }
    rules.audit.logAllowed = values["log_allowed"] ?? true
    // What is asked for and what happens anyway agree on the values that are missing here.
    if values["log_denied"] == false {
      unenforced(fields.place(of: "log_denied"), "audit.log_denied", "denials are always recorded")
    }
    if values["log_approved"] == false {
      unenforced(
        fields.place(of: "log_approved"), "audit.log_approved", "what would need approval is recorded")
    }
    for key in ["include_stdout", "include_stderr", "include_file_content"] where values[key] == true {
      unenforced(fields.place(of: key), "audit.\(key)", "contents are not recorded")
    }
    if let node = fields["retention_days"] {
      _ = node.integer("retention_days", in: 0...100_000, &problems)
      unenforced(
        fields.place(of: "retention_days"), "audit.retention_days",
        "the server's configuration says how long events stay")
    }
  }

  /// Calls that are refused unless a policy asks for them. After the rules, for some of those do not hold beside them.
  mutating func readPermit(_ fields: Fields) {
    for (text, place) in fields["permit"]?.texts("permit", &problems) ?? [] {
      let around: (signals: String, depths: String)
      switch text {
      case "ptrace":
        rules.permissions.insert(.ptrace)
        around = ("a tracer sends any signal to whom it traces", "a tracer has others make its calls")
      case "user_namespaces":
        rules.permissions.insert(.userNamespaces)
        around = (
          "a process has another number in a pid namespace",
          "the first process of a pid namespace adopts the orphans in it"
        )
      default:
        problems.add(
          place, "permit cannot name \"\(text)\"", wayOut: "one of: ptrace, user_namespaces")
        continue
      }
      if !rules.signalRules.isEmpty {
        problems.add(
          place, "\(text) cannot be permitted beside signal_rules: \(around.signals)",
          wayOut: "leave one of the two out")
      }
      if rules.tellsDepths {
        problems.add(
          place, "\(text) cannot be permitted beside rules that count depths: \(around.depths)",
          wayOut: "leave min_depth and max_depth out")
      }
    }
  }

  private mutating func readTransparentCommands(_ node: YAMLNode) {
    guard let fields = Fields(node, "transparent_commands", keys: ["add", "remove"], &problems) else {
      return
    }
    rules.transparentAdd = baseNames(fields["add"], "add")
    rules.transparentRemove = baseNames(fields["remove"], "remove")
  }

  private mutating func baseNames(_ node: YAMLNode?, _ what: String) -> [String] {
    var names: [String] = []
    for (text, place) in node?.texts(what, &problems) ?? [] {
      if text.isEmpty || text.contains("/") {
        problems.add(place, "\"\(text)\" must be a base name, without /")
      } else {
        names.append(text)
      }
    }
    return names
  }

  mutating func readRedirects(_ fields: Fields) {
    let failure = [("fail_closed", 0), ("fail_open", 1), ("retry_original", 2)]
    let visibility = [("silent", 0), ("audit_only", 1), ("warn", 2)]
    let domainKeys = ["name", "match", "resolve_to", "visibility", "on_failure"]
    if fields["dns_redirects"] != nil {
      unenforced(fields.place(of: "dns_redirects"), "dns_redirects", "look-ups are answered as they are")
      for rule in list(fields, "dns_redirects", domainKeys) {
        if readMatch(rule, "dns_redirects") == nil { continue }
        if rule["resolve_to"]?.text("resolve_to", &problems) == nil {
          problems.add(rule.place, "this rule of dns_redirects has no resolve_to")
        }
        _ = rule["visibility"]?.word("visibility", visibility, &problems)
        _ = rule["on_failure"]?.word("on_failure", failure, &problems)
      }
    }
    guard fields["connect_redirects"] != nil else { return }
    unenforced(
      fields.place(of: "connect_redirects"), "connect_redirects", "connections go where they are made to")
    let connectKeys = [
      "name", "match", "redirect_to", "redirect_to_unix", "tls", "visibility", "message", "on_failure",
    ]
    for rule in list(fields, "connect_redirects", connectKeys) {
      if readMatch(rule, "connect_redirects") == nil { continue }
      let targets = ["redirect_to", "redirect_to_unix"].compactMap { rule[$0]?.text($0, &problems) }
      if targets.count != 1 {
        problems.add(rule.place, "this rule of connect_redirects needs redirect_to or redirect_to_unix")
      }
      if let tls = rule["tls"].flatMap({ Fields($0, "tls", keys: ["mode", "sni"], &problems) }) {
        _ = tls["mode"]?.word("mode", [("passthrough", 0), ("rewrite_sni", 1)], &problems)
        _ = tls["sni"]?.text("sni", &problems)
      }
      _ = rule["visibility"]?.word("visibility", visibility, &problems)
      _ = rule["message"]?.text("message", &problems)
      _ = rule["on_failure"]?.word("on_failure", failure, &problems)
    }
  }

  /// The expression over the host; nil when there is none or it is wrong, which is reported.
  private mutating func readMatch(_ fields: Fields, _ list: String) -> String? {
    guard let node = fields["match"], let text = node.text("match", &problems) else {
      problems.add(fields.place, "this rule of \(list) has no match")
      return nil
    }
    do throws(PatternError) {
      _ = try RegularExpression(text)
      return text
    } catch {
      problems.add(node.place, "\"\(text)\": \(error.cause) at offset \(error.offset)")
      return nil
    }
  }
}
