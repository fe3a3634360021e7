/// Policies by name, as `--policy` takes them.
package enum PolicyLibrary {
  /// The built-in policy, used where nobody asks for another.
  package static let defaultName = "agent-default"

  /// Loads `NAME` from the first directory that holds `NAME.yaml`, else the built-in one of that name; anything with a
  /// `/` or the ending `.yaml` or `.yml` is a file.
  ///
  /// Whether the caller may ask for it at all (`ServerConfig.allowedPolicies`) is the caller's to check first.
  package static func load(
    _ nameOrFile: String, directories: [String], context: PolicyContext, allowUnenforced: Bool
  ) throws(LoadFailure) -> LoadedPolicy {
    let (bytes, file) = try source(nameOrFile, directories: directories)
    return try LoadedPolicy(yaml: bytes, file: file, context: context, allowUnenforced: allowUnenforced)
  }

  /// The text of a policy, and what to call it in messages.
  package static func source(
    _ nameOrFile: String, directories: [String]
  ) throws(LoadFailure) -> (bytes: [UInt8], file: String) {
    if isFileName(nameOrFile) { return (try policyBytes(nameOrFile), nameOrFile) }
    guard isPolicyName(nameOrFile) else {
      throw failure(
        nameOrFile, "is no policy name", "letters, digits, . _ -; a file has a / or ends in .yaml")
    }
    for directory in directories {
      for ending in [".yaml", ".yml"] where exists("\(directory)/\(nameOrFile)\(ending)") {
        let file = "\(directory)/\(nameOrFile)\(ending)"
        return (try policyBytes(file), file)
      }
    }
    if nameOrFile == defaultName { return (Array(agentDefaultYAML.utf8), "built-in agent-default") }
    let places =
      directories.isEmpty
      ? "there is no policy directory" : "looked in " + directories.joined(separator: ", ")
    throw failure(nameOrFile, "there is no policy of this name", "\(places); built in: \(defaultName)")
  }

  /// Whether `--policy` names a file rather than a policy.
  package static func isFileName(_ text: String) -> Bool {
    text.contains("/") || text.hasSuffix(".yaml") || text.hasSuffix(".yml")
  }

  private static func failure(_ name: String, _ cause: String, _ wayOut: String) -> LoadFailure {
    LoadFailure(file: "policy \"\(name)\"", diagnostics: [Diagnostic(.whole, cause, wayOut: wayOut)])
  }
}
