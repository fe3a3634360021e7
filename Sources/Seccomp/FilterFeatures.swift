/// Which calls are notified. The low bits are those of `LaunchPlan.Mediation`.
package struct FilterFeatures: OptionSet, Sendable, Hashable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Calls that take a path and open or change something.
  package static let files = FilterFeatures(rawValue: 1)
  /// execve, execveat.
  package static let commands = FilterFeatures(rawValue: 2)
  /// connect, bind, and sending to an address.
  package static let sockets = FilterFeatures(rawValue: 4)
  /// Calls that change another process's limits or scheduling; without this they are refused unless they name self.
  package static let processes = FilterFeatures(rawValue: 8)
  /// setuid and kin.
  package static let identities = FilterFeatures(rawValue: 16)
  /// stat and what else tells of a name: where a rule denies it.
  package static let stat = FilterFeatures(rawValue: 32)
  /// access, faccessat, faccessat2.
  package static let access = FilterFeatures(rawValue: 64)
  /// readlink, readlinkat.
  package static let readlink = FilterFeatures(rawValue: 128)
  /// Reading directories.
  package static let list = FilterFeatures(rawValue: 256)
  /// ftruncate: where a rule tells it from writing.
  package static let truncate = FilterFeatures(rawValue: 512)
  /// No process gets another parent than the one that made it, or the supervisor: where rules tell depths apart.
  package static let depths = FilterFeatures(rawValue: 1024)
  /// ptrace and process_vm_readv are notified: where the policy permits them for the tree; without this they are refused.
  package static let ptrace = FilterFeatures(rawValue: 2048)
  /// Namespaces are made freely, and what the supervisor has to know or do is notified: other mount namespaces, chroot,
  /// mounts, and who shares descriptors. Without this they are refused.
  package static let userNamespaces = FilterFeatures(rawValue: 4096)
  /// Calls that send signals: for kernels whose Landlock does not scope them (before ABI 6).
  package static let signals = FilterFeatures(rawValue: 1 << 16)
  /// Threads of a process share directory and descriptors: for kernels without PIDFD_THREAD (before 6.9), where a
  /// thread's descriptors are reached through its process.
  package static let uniformThreads = FilterFeatures(rawValue: 1 << 17)
  /// Calls are traced instead of notified, and no child can be made that the tracer does not get.
  package static let traced = FilterFeatures(rawValue: 1 << 18)
}
