import CLinux
package import LinuxSystem

/// What a process may still do itself; everything handled and not granted is denied to it and its descendants.
///
/// `landlock(7)`, since Linux 5.13.
package struct Ruleset: ~Copyable {
  /// What is asked for beside file rights.
  package struct Scope: OptionSet, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    /// No connection to abstract sockets made outside. ABI 6.
    package static let abstractSockets = Self(rawValue: 1)
    /// No signals to processes outside. ABI 6.
    package static let signals = Self(rawValue: 2)
    // An array literal is not specialized across modules.
    package static let all = Self(rawValue: 3)
  }

  package let abi: Int
  private let descriptor: FileDescriptor
  private let handled: AccessRights

  /// The kernel's Landlock ABI; 0 where there is none, or it is switched off. `landlock_create_ruleset(2)`.
  package static func kernelABI() -> Int { max(0, rawCall(LandlockCall.create, 0, 0, 1)) }

  /// A ruleset that handles every file right of the ABI but those in `free`, which stay everybody's; with `network`, TCP
  /// connect and bind too (ABI 4).
  ///
  /// What the ABI lacks is left out; `LandlockReport` says so. Throws ENOSYS and EOPNOTSUPP where there is no Landlock.
  /// `landlock_create_ruleset(2)`.
  package init(network: Bool, scope: Scope, free: AccessRights = []) throws(SystemCallError) {
    let created = try Self.create(network: network, scope: scope, free: free)
    abi = created.abi
    handled = AccessRights.all(abi: created.abi).subtracting(free)
    descriptor = FileDescriptor(owning: created.number)
  }

  private static func create(
    network: Bool, scope: Scope, free: AccessRights
  ) throws(SystemCallError) -> (abi: Int, number: Int32) {
    let abi = try check("landlock_create_ruleset", rawCall(LandlockCall.create, 0, 0, 1))
    var attributes = clinux_landlock_ruleset_attr()
    attributes.handled_access_fs = AccessRights.all(abi: abi).subtracting(free).rawValue
    if network, abi >= 4 { attributes.handled_access_net = 3 }  // BIND_TCP, CONNECT_TCP
    if abi >= 6 { attributes.scoped = scope.rawValue }
    // An older kernel takes a longer structure whose tail is zero.
    let size = MemoryLayout<clinux_landlock_ruleset_attr>.size
    // SAFETY: the kernel copies `size` bytes of `attributes` during the call.
    let result = unsafe withUnsafePointer(to: &attributes) {
      rawCall(LandlockCall.create, kernelAddress($0), size, 0)
    }
    return (abi, Int32(truncatingIfNeeded: try check("landlock_create_ruleset", result)))
  }

  /// Grants rights below a directory, or to one file (then only those that files have).
  ///
  /// Resolves the path with links, in the caller's view, without opening what it names; blocks on slow file systems.
  /// Returns false when the caller cannot reach anything of that name: then nothing is granted, and nothing is lost. Throws
  /// what else `open(2)` with O_PATH throws (ENOMEM, EMFILE). `landlock_add_rule(2)`.
  package borrowing func grant(_ access: AccessRights, beneath path: String) throws(SystemCallError) -> Bool {
    let flags = Int(O_PATH | O_CLOEXEC)
    // SAFETY: the kernel reads the NUL-terminated copy during the call.
    let opened = unsafe path.withCString {
      rawCall(Int(SYS_openat), Int(AT_FDCWD), kernelAddress($0), flags, 0)
    }
    if [ENOENT, ENOTDIR, ELOOP, EACCES].contains(Int32(truncatingIfNeeded: -opened)) { return false }
    let object = FileDescriptor(owning: Int32(truncatingIfNeeded: try check("openat", opened)))
    var status = stat()
    // SAFETY: `status` lives across the call.
    let looked = unsafe withUnsafeMutablePointer(to: &status) {
      rawCall(Int(SYS_fstat), Int(object.number), kernelAddress($0))
    }
    try check("fstat", looked)
    var rights = access.intersection(handled)
    if status.st_mode & 0o170000 != 0o040000 { rights.formIntersection(.onFiles) }
    if rights.isEmpty { return true }
    var rule = clinux_landlock_path_beneath()
    rule.allowed_access = rights.rawValue
    rule.parent_fd = object.number
    // SAFETY: the kernel copies `rule` during the call.
    let added = unsafe withUnsafePointer(to: &rule) {
      rawCall(LandlockCall.addRule, Int(descriptor.number), 1, kernelAddress($0), 0)
    }
    try check("landlock_add_rule", added)
    return true
  }

  /// Restricts the calling thread and what it starts from now on, for good.
  ///
  /// Needs no_new_privs or CAP_SYS_ADMIN. Descriptors that are open keep their rights. Throws E2BIG beyond 16 layers.
  /// `landlock_restrict_self(2)`.
  package consuming func restrictSelf() throws(SystemCallError) {
    try check("landlock_restrict_self", rawCall(LandlockCall.restrictSelf, Int(descriptor.number), 0))
  }
}

private enum LandlockCall {
  static let create = 444
  static let addRule = 445
  static let restrictSelf = 446
}
