package import AgentshAPI
import AgentshPolicy

/// The environment of the command.
package struct LaunchEnvironment: Sendable, Equatable {
  /// `NAME=value`, each name once.
  package private(set) var entries: [[UInt8]]

  /// The client's environment as the policy lets it through. Throws when what is left is over the policy's maximum, or its
  /// patterns are wrong.
  package init(filtering environment: [[UInt8]], by policy: EnvironmentPolicy) throws(CommandFailure) {
    do throws(EnvironmentError) {
      entries = try EnvironmentFilter(
        allow: policy.allow ?? [], deny: policy.deny ?? [], maxBytes: policy.maxBytes, maxKeys: policy.maxKeys
      ).filter(environment)
    } catch {
      throw CommandFailure(code: ExitStatus.notWrapped, Self.sentence(error))
    }
  }

  /// Sets variables; they replace what is there.
  package mutating func set(_ variables: [String: String]) {
    guard !variables.isEmpty else { return }
    entries.removeAll { entry in
      guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return true }
      return variables[String(decoding: entry[..<equals], as: UTF8.self)] != nil
    }
    for (name, value) in variables.sorted(by: { $0.key < $1.key }) where !name.isEmpty {
      entries.append(Array((name + "=" + value).utf8))
    }
  }

  package mutating func remove(_ names: [String]) {
    let starts = names.map { Array(($0 + "=").utf8) }
    entries.removeAll { entry in starts.contains { entry.starts(with: $0) } }
  }

  private static func sentence(_ error: EnvironmentError) -> String {
    switch error {
    case .tooManyKeys(let count, let maximum):
      "the environment has \(count) variables; the policy allows \(maximum) (env_policy.max_keys)"
    case .tooManyBytes(let count, let maximum):
      "the environment has \(count) bytes; the policy allows \(maximum) (env_policy.max_bytes)"
    case .badPattern(let field, let item, let cause):
      "the policy's env_policy.\(field)[\(item)] is not a pattern: \(cause)"
    }
  }
}
