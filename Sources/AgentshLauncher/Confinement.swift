import AgentshWire
import CLinux
import Landlock
import LinuxSystem
import Seccomp

/// The floor under the policy: what the kernel holds by itself.
struct Confinement {
  let plan: LaunchPlan
  let diagnostics: Diagnostics

  /// Applies the plan's Landlock rules and says what the kernel lacks. Without Landlock the plan decides whether to go on.
  func restrictFiles() throws(LaunchError) {
    let report = LandlockReport()
    if case .absent(let reason) = report.files {
      guard plan.allowDegraded else { throw LaunchError(.landlock, reason) }
      diagnostics.note("degraded: \(reason)")
      return
    }
    for area in [report.files, report.network, report.scopes] where area != .enforced {
      diagnostics.note("Landlock \(area)")
    }
    try LaunchError.step(.landlock) { () throws(SystemCallError) in
      // Where sockets are mediated, the supervisor connects and binds for the tree, which needs no right of its own.
      let mediated = plan.mediate.contains(.sockets)
      // What is granted everywhere would not be in a mount namespace, whose root is another: Landlock looks at the
      // directories above, mounts included.
      let everywhere =
        plan.mediate.contains(.userNamespaces) ? plan.landlock.first { $0.path == "/" }?.access ?? 0 : 0
      let ruleset = try Ruleset(
        network: mediated, scope: mediated ? .all : .signals,
        free: AccessRights(rawValue: everywhere))
      for grant in plan.landlock {
        _ = try ruleset.grant(AccessRights(rawValue: grant.access), beneath: grant.path)
      }
      try ruleset.restrictSelf()
    }
  }

  /// The filter for this plan on this kernel.
  func filter() throws(LaunchError) -> FilterProgram {
    do { return try FilterProgram(SyscallTable.rules(features)) } catch {
      throw LaunchError(.filter, "the table does not fit into a filter")
    }
  }

  /// Makes each call that is to be traced and sees that the tracer answers it: a filter outside that answers first would
  /// hide it from us. Calls newer than 2014 may be unknown to such a filter.
  func callRoll() throws(LaunchError) {
    let arguments = [UInt64](repeating: UInt64(RollCall.argument), count: 6)
    for rule in SyscallTable.rules(features) where rule.action(for: arguments) == .trace {
      let word = Int(RollCall.argument)
      let result = rawCall(Int(rule.number), word, word, word, word, word, word)
      if result == RollCall.answer { continue }
      if rule.number >= RollCall.firstNewCall, result == -Int(ENOSYS) || result == -Int(EPERM) { continue }
      throw LaunchError(
        .filter,
        "\(rule.name) is answered before the supervisor sees it: another filter, or no tracer (\(result))")
    }
  }

  private var features: FilterFeatures {
    var features = FilterFeatures(rawValue: plan.mediate.rawValue)
    if Ruleset.kernelABI() < 6 { features.insert(.signals) }
    // Who is not of the tree is kept out by its domain: a number may be another's by the time that the call is made.
    if Ruleset.kernelABI() < 1 { features.remove(.ptrace) }
    if !Self.hasThreadHandles { features.insert(.uniformThreads) }
    return features
  }

  /// PIDFD_THREAD, since Linux 6.9. `pidfd_open(2)`
  private static var hasThreadHandles: Bool {
    let threadFlag = 0o200  // O_EXCL
    let opened = rawCall(SystemCall.pidfdOpen, rawCall(SystemCall.getpid), threadFlag)
    if opened >= 0 { _ = FileDescriptor(owning: Int32(truncatingIfNeeded: opened)) }
    return opened >= 0
  }
}
