import AgentshConfig
import AgentshPolicy
import Foundation
import Testing

private let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/compat/policies")
  .path

private let context = PolicyContext(workspace: "/srv/ws", home: "/home/u")

private func load(_ name: String) throws -> LoadedPolicy {
  try LoadedPolicy(file: "\(directory)/\(name).yaml", context: context, allowUnenforced: true)
}

/// For each policy that upstream ships: the keys that nothing carries out yet, and how often each is used.
private let wanted: [(String, [String: Int])] = [
  (
    "agent-observe",
    [
      "audit.include_stderr": 1,
      "audit.include_stdout": 1,
      "audit.retention_days": 1,
    ]
  ),
  (
    "ci-strict",
    [
      "audit.include_stderr": 1,
      "audit.retention_days": 1,
      "network_rules.domains": 21,
      "resource_limits.command_timeout": 1,
      "resource_limits.cpu_quota_percent": 1,
      "resource_limits.idle_timeout": 1,
      "resource_limits.max_memory_mb": 1,
      "resource_limits.memory_swap_max_mb": 1,
      "resource_limits.pids_max": 1,
      "resource_limits.session_timeout": 1,
    ]
  ),
  ("system-readonly", [:]),
  (
    "agent-default",
    [
      "audit.include_stderr": 1,
      "command_rules.decision.redirect": 5,
      "env_policy.block_iteration": 1,
      "network_rules.domains": 42,
      "package_rules": 1,
      "resource_limits.command_timeout": 1,
      "resource_limits.cpu_quota_percent": 1,
      "resource_limits.idle_timeout": 1,
      "resource_limits.max_memory_mb": 1,
      "resource_limits.pids_max": 1,
      "resource_limits.session_timeout": 1,
    ]
  ),
  (
    "agent-sandbox",
    [
      "audit.include_stderr": 1,
      "audit.include_stdout": 1,
      "audit.retention_days": 1,
      "command_rules.decision.redirect": 2,
      "network_rules.domains": 7,
      "resource_limits.command_timeout": 1,
      "resource_limits.cpu_quota_percent": 1,
      "resource_limits.disk_read_bps_max": 1,
      "resource_limits.disk_write_bps_max": 1,
      "resource_limits.idle_timeout": 1,
      "resource_limits.max_memory_mb": 1,
      "resource_limits.memory_swap_max_mb": 1,
      "resource_limits.pids_max": 1,
      "resource_limits.session_timeout": 1,
    ]
  ),
  ("agent-strict", [:]),
  (
    "bench-allow-all",
    [
      "audit.log_approved": 1,
      "audit.log_denied": 1,
    ]
  ),
  (
    "bench-realistic",
    [
      "audit.include_stderr": 1,
      "audit.retention_days": 1,
      "command_rules.decision.redirect": 4,
    ]
  ),
  (
    "default",
    [
      "audit.include_stderr": 1,
      "audit.retention_days": 1,
      "network_rules.domains": 36,
      "resource_limits.command_timeout": 1,
      "resource_limits.cpu_quota_percent": 1,
      "resource_limits.disk_read_bps_max": 1,
      "resource_limits.disk_write_bps_max": 1,
      "resource_limits.idle_timeout": 1,
      "resource_limits.max_memory_mb": 1,
      "resource_limits.memory_swap_max_mb": 1,
      "resource_limits.net_bandwidth_mbps": 1,
      "resource_limits.pids_max": 1,
      "resource_limits.session_timeout": 1,
    ]
  ),
  (
    "dev-safe",
    [
      "audit.include_stderr": 1,
      "command_rules.decision.redirect": 4,
      "network_rules.domains": 23,
      "resource_limits.command_timeout": 1,
      "resource_limits.cpu_quota_percent": 1,
      "resource_limits.idle_timeout": 1,
      "resource_limits.max_memory_mb": 1,
      "resource_limits.pids_max": 1,
      "resource_limits.session_timeout": 1,
    ]
  ),
  (
    "signal-strict",
    [:]
  ),
]

@Suite struct CompatPolicyTests {
  @Test func `each policy that exists is in the table`() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: directory).filter {
      $0.hasSuffix(".yaml")
    }
    #expect(Set(files) == Set(wanted.map { $0.0 + ".yaml" }))
  }

  @Test(arguments: wanted)
  func `it loads, and what it still needs is known`(name: String, needs: [String: Int]) throws {
    let found = Dictionary(grouping: try load(name).unenforced, by: \.key).mapValues(\.count)
    let lines = found.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
    print("\(name) still needs:\n\(lines.joined(separator: "\n"))")
    #expect(found == needs)
  }

  @Test(arguments: wanted)
  func `what it still needs is refused unless that is allowed`(name: String, needs: [String: Int]) throws {
    let path = "\(directory)/\(name).yaml"
    if needs.isEmpty {
      _ = try LoadedPolicy(file: path, context: context, allowUnenforced: false)
    } else {
      let failure = #expect(throws: LoadFailure.self) {
        try LoadedPolicy(file: path, context: context, allowUnenforced: false)
      }
      #expect(failure?.diagnostics.allSatisfy { $0.cause.contains("is not enforced yet") } == true)
    }
  }
}
