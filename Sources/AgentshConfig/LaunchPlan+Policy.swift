package import AgentshPolicy
package import AgentshWire

/// What the launcher does to itself for a session under `rules`.
///
/// What opens or changes something is mediated whatever the rules say, because every decision is recorded; signals and
/// what only looks, where a rule can stop it. The tree itself may only execute, since each open is carried out by the
/// supervisor and the descriptor handed over.
/// - Parameters:
///   - rules: the session's. What either of two policies can stop is mediated.
///   - ownerUID: of the session. uid 0 keeps the capabilities that package managers need inside a container, and
///     changes of identity are notified.
///   - traced: ptrace mode.
///   - allowDegraded: go on where the kernel lacks a mechanism.
///
/// `landlock(7)`, `capabilities(7)`.
package func launchPlan(
  for rules: SessionRules, ownerUID: UInt32, traced: Bool = false, allowDegraded: Bool
) -> LaunchPlan {
  var mediate: LaunchPlan.Mediation = [.files, .commands, .sockets, .processes]
  if traced { mediate.insert(.traced) }
  if ownerUID == 0 { mediate.insert(.identities) }
  if rules.hasSignalRules { mediate.insert(.signals) }
  if rules.tellsDepths { mediate.insert(.depths) }
  if rules.permissions.contains(.ptrace) { mediate.insert(.ptrace) }
  if rules.permissions.contains(.userNamespaces) { mediate.insert(.userNamespaces) }
  let looks: [(FileOperation, LaunchPlan.Mediation)] = [
    (.stat, .stat), (.access, .access), (.readlink, .readlink), (.list, .list), (.truncate, .truncate),
  ]
  let restricted = rules.restricted
  for (operation, calls) in looks where restricted.contains(FileOperations(operation)) {
    mediate.insert(calls)
  }
  return LaunchPlan(
    mediate: mediate, landlock: [LaunchPlan.LandlockGrant(path: "/", access: landlockExecute)],
    allowDegraded: allowDegraded, keepCapabilities: ownerUID == 0 ? rootCapabilities : 0)
}

/// LANDLOCK_ACCESS_FS_EXECUTE and READ_FILE: to execute a file the kernel opens it for reading as well. Nothing is read
/// with it otherwise, because every open is notified.
private let landlockExecute: UInt64 = 1 << 0 | 1 << 2

/// CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, FSETID, NET_BIND_SERVICE, by their numbers in capabilities(7).
private let rootCapabilities: UInt64 = [0, 1, 3, 5, 6, 7, 4, 10].reduce(0) { $0 | 1 << UInt64($1) }
