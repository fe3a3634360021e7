import LinuxSystem
package import AgentshPolicy

/// A policy file that was accepted.
package struct LoadedPolicy: Sendable, Equatable {
  package let rules: PolicyRules
  /// Keys that nothing carries out yet; empty unless they were allowed.
  package let unenforced: [Unenforced]
  /// What the author should know although nothing is wrong.
  package let notes: [Diagnostic]

  /// Reads a policy.
  ///
  /// Every key is enforced or refused. With `allowUnenforced` the refused ones become warnings (`unenforced`), and
  /// their rules are carried out as strictly as can be: redirect as deny, a denial of host names as
  /// a denial of all hosts.
  /// - Parameters:
  ///   - bytes: UTF-8, at most 1 MiB.
  ///   - file: for the messages.
  /// - Throws: everything that is wrong in it, with line and column.
  package init(
    yaml bytes: [UInt8], file: String, context: PolicyContext, allowUnenforced: Bool
  ) throws(LoadFailure) {
    var reader = PolicyReader(context: context)
    do throws(SyntaxError) {
      reader.readPolicy(try YAMLDocument.parse(bytes))
    } catch {
      throw LoadFailure(file: file, diagnostics: [error.diagnostic])
    }
    reader.checkPatterns()
    var diagnostics = reader.problems.list
    if !allowUnenforced { diagnostics += reader.unenforced.map(\.diagnostic) }
    if !diagnostics.isEmpty { throw LoadFailure(file: file, diagnostics: diagnostics) }
    rules = reader.rules
    unenforced = reader.unenforced.sorted { $0.place < $1.place }
    notes = reader.notes.sorted { $0.place < $1.place }
  }

  /// Reads a policy file with the rights of the process.
  package init(file: String, context: PolicyContext, allowUnenforced: Bool) throws(LoadFailure) {
    try self.init(
      yaml: try policyBytes(file), file: file, context: context, allowUnenforced: allowUnenforced)
  }
}

/// The bytes of a policy file; a failure names the file and the cause. `open(2)`.
package func policyBytes(_ file: String) throws(LoadFailure) -> [UInt8] {
  do throws(SystemCallError) {
    return try readFile(file, limit: YAMLDocument.byteLimit)
  } catch {
    throw LoadFailure(file: file, diagnostics: [Diagnostic(.whole, "cannot be read: \(error)")])
  }
}

/// A key of a policy that nothing carries out yet.
package struct Unenforced: Sendable, Equatable {
  package let place: Place
  /// Dotted, without rule names: `resource_limits.pids_max`, `file_rules.timeout`.
  package let key: String
  /// What is missing, and what happens instead when it is allowed.
  package let why: String

  package init(_ place: Place, key: String, why: String) {
    self.place = place
    self.key = key
    self.why = why
  }

  package var diagnostic: Diagnostic {
    Diagnostic(
      place, "\(key) is not enforced yet: \(why)", wayOut: "remove it, or load with --allow-unenforced")
  }

  /// The warning for a policy that was loaded all the same.
  package func warning(file: String) -> String {
    Diagnostic(place, "warning: \(key) is not enforced yet: \(why)").text(file: file)
  }
}
