import AgentshPolicy

/// What `agentsh policy validate` says of a file.
package struct PolicyReport: Sendable, Equatable {
  /// The policy loads as it was asked for.
  package let isValid: Bool
  /// Lines for people: everything that is wrong, warnings, notes, and what the policy holds.
  package let text: String

  /// Reads the policy and says everything about it.
  package static func validate(
    yaml bytes: [UInt8], file: String, context: PolicyContext, allowUnenforced: Bool
  ) -> PolicyReport {
    do throws(LoadFailure) {
      let loaded = try LoadedPolicy(
        yaml: bytes, file: file, context: context, allowUnenforced: allowUnenforced)
      var lines = loaded.unenforced.map { $0.warning(file: file) }
      lines += loaded.notes.map { "\($0.text(file: file)) [note]" }
      lines.append("\(file): ok: \(summary(loaded.rules))")
      return PolicyReport(isValid: true, text: lines.joined(separator: "\n"))
    } catch {
      let count = error.diagnostics.count
      let total = count == 1 ? "1 error" : "\(count) errors"
      return PolicyReport(isValid: false, text: "\(error)\n\(file): \(total), the policy is not accepted")
    }
  }

  /// Reads a policy file, or one by name (`PolicyLibrary`), and says everything about it.
  package static func validate(
    _ nameOrFile: String, directories: [String], context: PolicyContext, allowUnenforced: Bool
  ) -> PolicyReport {
    do throws(LoadFailure) {
      let (bytes, file) = try PolicyLibrary.source(nameOrFile, directories: directories)
      return validate(yaml: bytes, file: file, context: context, allowUnenforced: allowUnenforced)
    } catch {
      return PolicyReport(isValid: false, text: "\(error)")
    }
  }

  private static func summary(_ rules: PolicyRules) -> String {
    let counts = [
      ("file", rules.fileRules.count), ("command", rules.commandRules.count),
      ("network", rules.networkRules.count),
      ("Unix socket", rules.unixSocketRules.count), ("signal", rules.signalRules.count),
    ]
    let lists = counts.filter { $0.1 > 0 }.map { "\($0.1) \($0.0) rule\($0.1 == 1 ? "" : "s")" }
    return "policy \"\(rules.name)\", version \(rules.version)" + lists.map { ", " + $0 }.joined()
  }
}
