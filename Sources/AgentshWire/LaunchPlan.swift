/// What the launcher does to itself before it becomes the agent. Made by the daemon from the policy, carried as
/// lower-case hex in `AGENTSH_LAUNCH_PLAN`, one of the `wrapper_env` variables of wrap-init.
package struct LaunchPlan: Sendable, Equatable {
  /// Bumped when the bytes change; launcher and daemon of different versions refuse one another.
  package static let version: UInt16 = 1

  /// Which groups of calls are notified.
  package var mediate: Mediation
  /// What the tree itself (not the supervisor for it) may do to files, as Landlock rules. Empty: nothing.
  package var landlock: [LandlockGrant]
  /// Go on where the kernel lacks a mechanism that the plan asks for (`--allow-degraded`).
  package var allowDegraded: Bool
  /// uid 0 only: capability bits (capabilities(7) numbers) that the tree keeps.
  package var keepCapabilities: UInt64

  package struct Mediation: OptionSet, Sendable, Equatable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// open, unlink, rename … (calls that take paths and change or open something).
    package static let files = Mediation(rawValue: 1)
    /// execve, execveat.
    package static let commands = Mediation(rawValue: 2)
    /// connect, bind, sendto with a destination, sendmsg, sendmmsg.
    package static let sockets = Mediation(rawValue: 4)
    /// Calls that name another process (DECISIONS 11).
    package static let processes = Mediation(rawValue: 8)
    /// setuid and kin are notified, so that the supervisor knows when callers differ from the owner (root sessions).
    package static let identities = Mediation(rawValue: 16)
    /// Calls that only look, and ftruncate, where the policy has rules that stop them.
    package static let stat = Mediation(rawValue: 32)
    package static let access = Mediation(rawValue: 64)
    package static let readlink = Mediation(rawValue: 128)
    package static let list = Mediation(rawValue: 256)
    package static let truncate = Mediation(rawValue: 512)
    /// What bends the chain of parents is refused, where the policy has rules that tell depths apart.
    package static let depths = Mediation(rawValue: 1024)
    /// Tracing, and reading another's memory, are notified instead of refused, where the policy permits them.
    package static let ptrace = Mediation(rawValue: 2048)
    /// Namespaces, mounts in them, and chroot, where the policy permits them.
    package static let userNamespaces = Mediation(rawValue: 4096)
    /// kill and kin, where the policy has rules about signals.
    package static let signals = Mediation(rawValue: 1 << 16)
    /// The supervisor traces the tree; there is no listener.
    package static let traced = Mediation(rawValue: 1 << 18)
  }

  package struct LandlockGrant: Sendable, Equatable {
    package var path: String
    /// LANDLOCK_ACCESS_FS_* bits.
    package var access: UInt64
    package init(path: String, access: UInt64) {
      self.path = path
      self.access = access
    }
  }

  package init(mediate: Mediation, landlock: [LandlockGrant], allowDegraded: Bool, keepCapabilities: UInt64) {
    self.mediate = mediate
    self.landlock = landlock
    self.allowDegraded = allowDegraded
    self.keepCapabilities = keepCapabilities
  }
}
