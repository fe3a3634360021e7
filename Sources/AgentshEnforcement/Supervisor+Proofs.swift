import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

extension Supervisor {
  /// Tries what every answer will need on the launcher, before it becomes the agent: where the kernel or a container's
  /// own filter refuses one of these calls, nothing starts. To be called before `run`.
  ///
  /// Without effect on it: each call is made so that the kernel, once it has looked at our rights, refuses it in a known
  /// way. `process_vm_readv(2)`, `pidfd_getfd(2)`, `ptrace(2)`.
  package func proveMechanisms() throws(Failure) {
    if tracing == nil, let refused = Listener.refusedCall(on: listener) { throw .mechanism(refused) }
    try proveMemory()
    // No descriptor of that number: EBADF.
    try expect(EBADF, "pidfd_getfd", takeDescriptor(arguments.pidfd, Int32.max))
    // Execs are verified under ptrace where the policy tells commands apart (PTRACE_SEIZE; an address: EIO).
    guard mediator.uniformCommand?.permits != true, tracing == nil else { return }
    try expect(EIO, "ptrace", rawCall(Int(SYS_ptrace), 0x4206, Int(arguments.target), 1, 0))
  }

  /// Nothing is mapped at the lowest address: EFAULT, where reading is allowed.
  private func proveMemory() throws(Failure) {
    var byte: UInt8 = 0
    // SAFETY: one byte, alive across the call.
    let result = unsafe withUnsafeMutablePointer(to: &byte) {
      readProcessMemory(arguments.target, at: 1, into: kernelAddress($0), count: 1)
    }
    if result != -Int(EFAULT) { throw .unreadableTarget(errno: Int32(truncatingIfNeeded: -min(result, 0))) }
  }

  private func expect(_ errno: Int32, _ call: StaticName, _ result: Int) throws(Failure) {
    if result == -Int(errno) { return }
    throw .mechanism(SystemCallError(call, Int32(truncatingIfNeeded: -min(result, 0))))
  }
}
