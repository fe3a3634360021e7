package import CLinux
package import LinuxSystem

/// A seccomp filter as data: classic BPF over `struct seccomp_data`.
///
/// `seccomp(2)`, since Linux 3.5; x86_64.
package struct FilterProgram: Sendable {
  /// BPF_MAXINSNS.
  package static let instructionLimit = 4096
  package let instructions: [sock_filter]

  /// Compiles the table. Numbers that it does not name are ENOSYS; a foreign architecture and x32 end the process.
  ///
  /// Throws `FilterTooLong` when the table outgrew what the kernel takes or a jump can reach.
  package init(_ rules: [SyscallRule], architecture: UInt32 = Self.x86) throws(FilterTooLong) {
    var compiler = FilterCompiler()
    instructions = try compiler.compile(rules, architecture: architecture)
    guard instructions.count <= Self.instructionLimit else { throw FilterTooLong() }
  }

  /// AUDIT_ARCH_X86_64.
  package static let x86: UInt32 = 0xc000_003e
  /// The bit that makes a number an x32 call. -1, which some debuggers and tests use, is not one.
  package static let x32Bit: UInt32 = 0x4000_0000

  /// Puts the filter on the calling thread, for good, and returns its listener (CLOEXEC).
  ///
  /// Needs no_new_privs or CAP_SYS_ADMIN. From here on notified calls of this thread wait for whoever holds the listener.
  /// Asks for WAIT_KILLABLE_RECV (Linux 5.19), so that a signal does not abort a call that is being carried out.
  /// Throws EBUSY when this thread has a filter with a listener already, EINVAL or ENOSYS without seccomp.
  /// `seccomp_unotify(2)`, since Linux 5.0.
  package func installNotifying() throws(SystemCallError) -> FileDescriptor {
    let newListener: UInt32 = 1 << 3
    let waitKillable: UInt32 = 1 << 5
    do {
      return FileDescriptor(owning: try install(flags: newListener | waitKillable))
    } catch {
      guard error.errno == EINVAL else { throw error }
      return FileDescriptor(owning: try install(flags: newListener))
    }
  }

  /// Puts the filter on the calling thread without a listener: what it would notify fails with ENOSYS.
  ///
  /// `seccomp(2)`, SECCOMP_SET_MODE_FILTER.
  package func installSilent() throws(SystemCallError) { _ = try install(flags: 0) }

  private func install(flags: UInt32) throws(SystemCallError) -> Int32 {
    // SAFETY: the kernel copies `count` instructions before it returns; the limit fits 16 bits.
    let result = unsafe instructions.withUnsafeBufferPointer { buffer in
      unsafe clinux_seccomp_install(buffer.baseAddress, UInt16(buffer.count), flags)
    }
    return Int32(truncatingIfNeeded: try check("seccomp", result))
  }
}

/// The table does not fit into a filter.
package struct FilterTooLong: Error {}
