import CLinux

/// A piece of another process's memory.
package struct MemoryPiece: Sendable {
  package let address: UInt64
  package let count: Int
  package init(address: UInt64, count: Int) {
    self.address = address
    self.count = count
  }
}

/// Copies pieces of a process's memory one behind the other into `buffer`, whose size is their sum. Returns how many
/// bytes were read (short at the first piece that cannot be read) or -errno. At most 1024 pieces (IOV_MAX).
///
/// `process_vm_readv(2)`, since Linux 3.2.
package func readProcessMemory(_ process: Int32, pieces: [MemoryPiece], into buffer: inout [UInt8]) -> Int {
  let total = pieces.reduce(0) { $0 + $1.count }
  guard total <= buffer.count, pieces.count <= 1024 else { return -Int(EINVAL) }
  let remote = unsafe pieces.map {
    unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: UInt($0.address)), iov_len: $0.count)
  }
  // SAFETY: `local` describes our buffer, `remote` holds only numbers; both live across the call.
  return unsafe buffer.withUnsafeMutableBytes { bytes in
    var local = unsafe iovec(iov_base: bytes.baseAddress, iov_len: total)
    return unsafe withUnsafePointer(to: &local) { local in
      unsafe remote.withUnsafeBufferPointer { remote in
        rawCall(
          Int(SYS_process_vm_readv), Int(process), kernelAddress(local), 1, kernelAddress(remote.baseAddress),
          remote.count, 0)
      }
    }
  }
}

/// Copies `count` bytes at `source`, an address of ours, to `address` in another process. Returns 0 or -errno; EFAULT
/// where not all of it can be written. `process_vm_writev(2)`.
package func writeProcessMemory(_ process: Int32, at address: UInt64, from source: Int, count: Int) -> Int {
  var local = unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: source), iov_len: count)
  var remote = unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: UInt(address)), iov_len: count)
  // SAFETY: the caller vouches for `source`; `remote` is only a number here. The kernel writes neither.
  let result = unsafe withUnsafeMutablePointer(to: &local) { local in
    unsafe withUnsafeMutablePointer(to: &remote) { remote in
      rawCall(Int(SYS_process_vm_writev), Int(process), kernelAddress(local), 1, kernelAddress(remote), 1, 0)
    }
  }
  return result < 0 ? result : result == count ? 0 : -Int(EFAULT)
}

/// Writes one 32-bit number into another process's memory. Returns 0 or -errno.
package func storeNumber(_ value: UInt32, in process: Int32, at address: UInt64) -> Int {
  // SAFETY: `value` lives across the call.
  unsafe withUnsafePointer(to: value) {
    writeProcessMemory(process, at: address, from: kernelAddress($0), count: 4)
  }
}

/// Who a thread is, from the kernel's own structure rather than from text.
package struct ThreadIdentity: Sendable, Equatable {
  package let process: Int32
  package let parent: Int32

  /// nil where the kernel lacks it, or the thread is gone. `pidfd_open(2)` with PIDFD_THREAD (6.9) and
  /// PIDFD_GET_INFO (6.13).
  package init?(of thread: Int32) {
    let opened = openPidfd(thread, flags: pidfdThread)
    guard opened >= 0 else { return nil }
    let pidfd = FileDescriptor(owning: Int32(opened))
    guard let words = pidfdInformation(pidfd.number, 1 /* PIDFD_INFO_PID */),
      words[4] == UInt32(bitPattern: thread), words[5] != 0
    else { return nil }
    process = Int32(bitPattern: words[5])
    parent = Int32(bitPattern: words[6])
  }
}

/// How a process ended that its parent has waited for, as wait(2) says it; nil where the kernel does not tell.
/// PIDFD_INFO_EXIT, since Linux 6.15.
package func waitStatus(ofReaped pidfd: Int32) -> Int32? {
  pidfdInformation(pidfd, 8 /* PIDFD_INFO_EXIT */).map { Int32(bitPattern: $0[15]) }
}

/// `struct pidfd_info`: mask, cgroup id, then pid, tgid, ppid and ids, at last how it ended. nil where the kernel lacks it,
/// or has not what is asked.
private func pidfdInformation(_ pidfd: Int32, _ asked: UInt32) -> InlineArray<16, UInt32>? {
  var words = InlineArray<16, UInt32>(repeating: 0)
  words[0] = asked
  // SAFETY: 64 bytes, which the request's number says, alive across the call.
  let result = unsafe withUnsafeMutablePointer(to: &words) {
    rawCall(Int(SYS_ioctl), Int(pidfd), 0xc040_ff0b, kernelAddress($0))
  }
  return result == 0 && words[0] & asked != 0 ? words : nil
}
