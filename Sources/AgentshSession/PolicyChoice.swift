package import AgentshAPI
package import AgentshConfig
package import AgentshPolicy
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
    package let name: String
    package let rules: PolicyRules
    /// What is not carried out yet although the policy has it (`allow_unenforced`); one sentence each.
    package let warnings: [String]
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
      return try named(request.policy, context, allowUnenforced)
    }
    if let name = request.policy, !name.isEmpty {
      throw .badRequest("policy and policy_text exclude each other")
    }
    // The operator's daemon has the operator's policies.
    guard caller.administers || (!locations.isSystem && config.allowedPolicies.isEmpty) else {
      throw .forbidden("this server takes no policies from its users; ask for one by name")
    }
    if let file = request.policyFile {
      guard file.hasPrefix("/"), !file.utf8.contains(0) else {
        throw .badRequest("policy_file is not an absolute path")
      }
    }
    let file = request.policyFile ?? "policy"
    do throws(LoadFailure) {
      let policy = try cache.load(
        yaml: Array(text.utf8), file: file, context: context, allowUnenforced: allowUnenforced)
      return try finish(policy, file: file, extraFloor: request.policyFile.map { [$0] } ?? [])
    } catch { throw SessionError(.badRequest, .policyInvalid, "\(error)") }
  }

  /// By name, from the directories or built in.
  package func named(
    _ name: String?, _ context: PolicyContext, _ allowUnenforced: Bool
  ) throws(SessionError) -> Chosen {
    let name = name.flatMap { $0.isEmpty ? nil : $0 } ?? config.defaultPolicy
    let known = names
    guard isPolicyName(name) else {
      throw SessionError(.badRequest, .policyNotFound, "\"\(name)\" is no policy name", hint: hint(known))
    }
    guard isAllowed(name) else {
      throw .forbidden("this server does not allow the policy \"\(name)\"; \(hint(known))")
    }
    guard known.contains(name) else {
      throw SessionError(.badRequest, .policyNotFound, "there is no policy \"\(name)\"", hint: hint(known))
    }
    do throws(LoadFailure) {
      let policy = try cache.load(
        name, directories: directories, context: context, allowUnenforced: allowUnenforced)
      return try finish(policy, file: name, extraFloor: [])
    } catch { throw SessionError(.badRequest, .policyInvalid, "\(error)") }
  }

  private func hint(_ known: [String]) -> String { "there are: \(known.joined(separator: ", "))" }

  private func isAllowed(_ name: String) -> Bool {
    config.allowedPolicies.isEmpty || config.allowedPolicies.contains(name)
  }

  private func finish(
    _ policy: LoadedPolicy, file: String, extraFloor: [String]
  ) throws(LoadFailure) -> Chosen {
    var rules = policy.rules
    rules.floor = Array(Set(rules.floor + floor + extraFloor)).sorted()
    do throws(PolicyError) { _ = try CompiledPolicies.shared.compile(rules) } catch {
      throw LoadFailure(file: file, diagnostics: [Diagnostic(.whole, "\(error)")])
    }
    return Chosen(name: rules.name, rules: rules, warnings: policy.unenforced.map { $0.warning(file: file) })
  }

  /// What may be asked for by name, sorted.
  package var names: [String] {
    var names: Set<String> = [PolicyLibrary.defaultName]
    for directory in directories {
      for entry in directoryNames(directory) {
        for ending in [".yaml", ".yml"] where entry.hasSuffix(ending) {
          let name = String(entry.dropLast(ending.count))
          if isPolicyName(name) { names.insert(name) }
        }
      }
    }
    return names.filter(isAllowed).sorted()
  }

  /// As the API lists them. A policy that does not load is listed with the reason.
  package func list(_ context: PolicyContext) -> PolicyList {
    PolicyList(
      policies: names.map { name in
        let file = directories.flatMap { ["\($0)/\(name).yaml", "\($0)/\(name).yml"] }.first(where: isThere)
        do throws(LoadFailure) {
          let policy = try PolicyLibrary.load(
            name, directories: directories, context: context, allowUnenforced: true)
          return PolicyList.Entry(name: name, description: policy.rules.description, file: file)
        } catch { return PolicyList.Entry(name: name, description: "does not load: \(error)", file: file) }
      })
  }
}
