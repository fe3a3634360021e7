package import AgentshAPI
package import AgentshConfig
package import AgentshPolicy
import AgentshWire
import LinuxSystem

/// Which policy a session gets, and whether its caller may ask for it.
package struct PolicyChoice: Sendable {
  package let config: ServerConfig
  package let locations: Locations
  /// Paths of the programs and files that nobody inside touches.
  package let floor: [String]
  private let cache = PolicyCache()

  package init(config: ServerConfig, locations: Locations, floor: [String]) {
    self.config = config
    self.locations = locations
    self.floor = floor
  }

  /// A policy that loads and compiles.
  package struct Chosen: Sendable {
    package let rules: SessionRules
    /// What is not carried out yet although the policy has it (`allow_unenforced`); one sentence each.
    package let warnings: [String]
    package var name: String { rules.name }
  }

  /// A policy as it was read, and what to call it.
  private struct Read {
    let policy: LoadedPolicy
    let file: String
    var warnings: [String] { policy.unenforced.map { $0.warning(file: file) } }
  }

  package var directories: [String] { config.policyDirectory.map { [$0] } ?? locations.policyDirectories }

  /// Loads and compiles; blocks. Throws 400 for a policy that is not there or does not load, 403 for one that the
  /// operator does not let the caller have.
  package func choose(
    _ request: CreateSessionRequest, caller: Caller, context: PolicyContext
  ) throws(SessionError) -> Chosen {
    let allowUnenforced = request.allowUnenforced ?? false
    guard let text = request.policyText else {
      if request.policyFile != nil { throw .badRequest("policy_file without policy_text") }
      return try named(request.policy, caller, context, allowUnenforced)
    }
    let handling = userFiles(caller)
    guard handling != .refuse else {
      throw .forbidden("this server takes no policies from its users; ask for one by name")
    }
    if handling != .combine, let name = request.policy, !name.isEmpty {
      throw .badRequest(
        "policy and policy_text exclude each other",
        hint: "a server with user_files: combine has the one narrow the other")
    }
    let names = [request.policyFile, request.policyLink].compactMap { $0 }
    for name in names where !isCanonical(name) {
      throw .badRequest("policy_file and policy_link are absolute paths without . and ..: \(name) is none")
    }
    let operators =
      handling == .combine ? try read(named: request.policy, caller, context, allowUnenforced) : nil
    let file = request.policyFile ?? "policy"
    let own: Read
    do throws(LoadFailure) {
      let policy = try cache.load(
        yaml: Array(text.utf8), file: file, context: context, allowUnenforced: allowUnenforced)
      own = Read(policy: policy, file: file)
    } catch { throw SessionError(.badRequest, .policyInvalid, "\(error)") }
    return try finish(operators ?? own, narrowedBy: operators == nil ? nil : own, context, extraFloor: names)
  }

  /// By name, from the directories or built in.
  package func named(
    _ name: String?, _ caller: Caller, _ context: PolicyContext, _ allowUnenforced: Bool
  ) throws(SessionError) -> Chosen {
    try finish(
      try read(named: name, caller, context, allowUnenforced), narrowedBy: nil, context, extraFloor: [])
  }

  private func read(
    named name: String?, _ caller: Caller, _ context: PolicyContext, _ allowUnenforced: Bool
  ) throws(SessionError) -> Read {
    let name = name.flatMap { $0.isEmpty ? nil : $0 } ?? config.defaultPolicy
    let allowed = allowed(caller.uid)
    let known = names(allowed)
    guard isPolicyName(name) else {
      throw SessionError(.badRequest, .policyNotFound, "\"\(name)\" is no policy name", hint: hint(known))
    }
    guard allowed?.contains(name) != false else {
      throw .forbidden("this server does not allow you the policy \"\(name)\"; \(hint(known))")
    }
    guard known.contains(name) else {
      throw SessionError(.badRequest, .policyNotFound, "there is no policy \"\(name)\"", hint: hint(known))
    }
    if locations.isSystem { try checkOwner(name) }
    do throws(LoadFailure) {
      let policy = try cache.load(
        name, directories: directories, context: context, allowUnenforced: allowUnenforced)
      return Read(policy: policy, file: name)
    } catch { throw SessionError(.badRequest, .policyInvalid, "\(error)") }
  }

  /// A policy that a user could change binds nobody.
  private func checkOwner(_ name: String) throws(SessionError) {
    let files = directories.flatMap { ["\($0)/\(name).yaml", "\($0)/\(name).yml"] }
    guard let file = files.first(where: isThere), let objection = OperatorFile.objection(to: file) else {
      return
    }
    throw SessionError(.failed, .policyInvalid, objection, hint: "the operator has to set its owner and mode")
  }

  private func hint(_ known: [String]) -> String { "there are: \(known.joined(separator: ", "))" }

  /// What is done with a file of the caller's. The operator's daemon has the operator's policies, unless the operator
  /// says otherwise; root may replace one where others may not bring any.
  private func userFiles(_ caller: Caller) -> UserFiles {
    let isFree = !locations.isSystem && config.allowedPolicies.isEmpty && config.policyGrants.isEmpty
    let handling = config.userFiles ?? (isFree ? .allow : .refuse)
    return handling == .refuse && caller.uid == 0 ? .allow : handling
  }

  private func isCanonical(_ path: String) -> Bool {
    path.begins(with: "/") && !path.utf8.contains(0)
      && path.pathParts.dropFirst().allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
  }

  /// What a user may ask for by name; nil: all there are. The user database is asked each time.
  private func allowed(_ uid: UInt32) -> Set<String>? {
    let grants = config.policyGrants
    if config.allowedPolicies.isEmpty, grants.isEmpty { return nil }
    var names = Set(config.allowedPolicies.isEmpty ? [config.defaultPolicy] : config.allowedPolicies)
    names.formUnion(grants.users[String(uid)] ?? [])
    guard !grants.isEmpty, let user = try? userEntry(uid: uid) else { return names }
    names.formUnion(grants.users[user.name] ?? [])
    for (group, more) in grants.groups where isMember(user, ofAny: [group]) { names.formUnion(more) }
    return names
  }

  /// Puts what is to be used together, with our own files denied before it, and compiles it.
  private func finish(
    _ main: Read, narrowedBy own: Read?, _ context: PolicyContext, extraFloor: [String]
  ) throws(SessionError) -> Chosen {
    var first = main.policy.rules
    var second = own?.policy.rules
    first.trash = TrashEntry.directories(home: context.home, workspace: context.workspace)
    second?.trash = first.trash
    let trash = first.softDeletes || second?.softDeletes == true ? first.trash : []
    // A tree stays in its control group, and under the limits that are set for it.
    // By bytes: to Swift two spellings of one character are equal.
    let protected = Set(
      (first.floor + floor + extraFloor + trash + Mount.controlGroups()).map { Array($0.utf8) })
    first.floor = protected.map { String(decoding: $0, as: UTF8.self) }.sorted()
    let rules: SessionRules
    do throws(CombinationError) {
      rules =
        if let second { try SessionRules(first, narrowedBy: second) } else { SessionRules(first) }
    } catch {
      throw SessionError(
        .badRequest, .policyInvalid,
        "the policies \(main.file) and \(own?.file ?? "") cannot be combined: \(error)", hint: error.wayOut)
    }
    do throws(PolicyError) { _ = try CompiledPolicies.shared.compile(rules) } catch {
      let isMain = (try? CompiledPolicy(first)) == nil
      let file = isMain ? main.file : own?.file ?? main.file
      let failure = LoadFailure(file: file, diagnostics: [Diagnostic(.whole, "\(error)")])
      throw SessionError(.badRequest, .policyInvalid, "\(failure)")
    }
    return Chosen(rules: rules, warnings: main.warnings + (own?.warnings ?? []))
  }

  /// What may be asked for by name, sorted.
  private func names(_ allowed: Set<String>?) -> [String] {
    var names: Set<String> = [PolicyLibrary.defaultName]
    for directory in directories {
      for entry in directoryNames(directory) {
        for ending in [".yaml", ".yml"] where entry.hasSuffix(ending) {
          let name = String(entry.dropLast(ending.count))
          if isPolicyName(name) { names.insert(name) }
        }
      }
    }
    return names.filter { allowed?.contains($0) != false }.sorted()
  }

  /// As the API lists them. A policy that does not load is listed with the reason.
  package func list(_ context: PolicyContext, for caller: Caller) -> PolicyList {
    PolicyList(
      policies: names(allowed(caller.uid)).map { name in
        let file = directories.flatMap { ["\($0)/\(name).yaml", "\($0)/\(name).yml"] }.first(where: isThere)
        do throws(LoadFailure) {
          let policy = try PolicyLibrary.load(
            name, directories: directories, context: context, allowUnenforced: true)
          return PolicyList.Entry(name: name, description: policy.rules.description, file: file)
        } catch { return PolicyList.Entry(name: name, description: "does not load: \(error)", file: file) }
      })
  }
}
