package import AgentshPolicy
import Synchronization

/// The policies that were compiled last: a session's policy is checked when it is made and decided with when its
/// command is started, and most sessions have the policy of the one before.
package final class CompiledPolicies: Sendable {
  package static let shared = CompiledPolicies()
  private static let limit = 16
  /// Least recently used first.
  private let entries = Mutex<[CompiledPolicy]>([])

  package init() {}

  package func compile(_ rules: SessionRules) throws(PolicyError) -> CompiledPolicy {
    let known = entries.withLock { entries -> CompiledPolicy? in
      guard let index = entries.firstIndex(where: { $0.rules == rules }) else { return nil }
      let found = entries.remove(at: index)
      entries.append(found)
      return found
    }
    if let known { return known }
    let policy = try CompiledPolicy(rules)
    entries.withLock { entries in
      entries.append(policy)
      if entries.count > Self.limit { entries.removeFirst() }
    }
    return policy
  }
}
