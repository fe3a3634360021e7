import CLinux

/// Copies `count` bytes at `address` of a process (any of its threads' ids) into the memory at `buffer` of ours. Returns how many were
/// read (short at the end of a mapping), or -errno: ESRCH gone, EPERM not readable for us, EFAULT.
///
/// `process_vm_readv(2)`, since Linux 3.2. Wants the rights of ptrace's PTRACE_MODE_ATTACH_REALCREDS.
package func readProcessMemory(
  _ process: Int32, at address: UInt64, into buffer: Int, count: Int
) -> Int {
  var local = unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: buffer), iov_len: count)
  var remote = unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: UInt(address)), iov_len: count)
  // SAFETY: `local` describes the caller's buffer; `remote` is only a number here.
  return unsafe withUnsafePointer(to: &local) { local in
    unsafe withUnsafePointer(to: &remote) { remote in
      rawCall(
        Int(SYS_process_vm_readv), Int(process), kernelAddress(local), 1, kernelAddress(remote), 1, 0)
    }
  }
}

/// For a process whose threads work on short-lived memory all the time: one arena, which keeps what it has. By default each
/// thread's grows and shrinks with mprotect(2) at nearly every call it serves. To be called before there are threads.
///
/// `mallopt(3)`.
package func keepFreedMemory() { clinux_keep_freed_memory() }

/// `pidfd_open(2)`, since Linux 5.3. Returns a descriptor (CLOEXEC).
package func openPidfd(_ process: Int32, flags: UInt32 = 0) -> Int {
  rawCall(Int(SYS_pidfd_open), Int(process), Int(flags))
}

/// Whose pidfd a descriptor is, ours or `owner`'s: `Pid:` in /proc/OWNER/fdinfo/N, -1 for a process that is gone. nil: it is
/// none. `pidfd_open(2)`.
package func pidfdProcess(_ number: Int32, of owner: Int32? = nil) -> Int32? {
  var text = PathText()
  let path = PathText("/proc/\(owner.map { String($0) } ?? "self")/fdinfo/\(number)")
  guard number >= 0, readWhole(AT_FDCWD, path, into: &text) > 0 else { return nil }
  for line in text.bytes.split(separator: 10) where line.starts(with: "Pid:".utf8) {
    return Int32(String(decoding: line.dropFirst(4).drop { $0 == 9 || $0 == 32 }, as: UTF8.self))
  }
  return nil
}

/// PIDFD_THREAD, since Linux 6.9: a pidfd for one thread.
package let pidfdThread = UInt32(O_EXCL)

/// `pidfd_getfd(2)`, since Linux 5.6: a duplicate (CLOEXEC) of another process's descriptor.
package func takeDescriptor(_ pidfd: Int32, _ number: Int32) -> Int {
  rawCall(Int(SYS_pidfd_getfd), Int(pidfd), Int(number), 0)
}

/// `pidfd_send_signal(2)`, since Linux 5.1.
@discardableResult
package func sendSignal(_ pidfd: Int32, _ signal: Int32) -> Int {
  rawCall(Int(SYS_pidfd_send_signal), Int(pidfd), Int(signal), 0, 0)
}

/// `kill(2)`.
@discardableResult
package func sendSignal(toPid pid: Int32, _ signal: Int32) -> Int {
  rawCall(Int(SYS_kill), Int(pid), Int(signal))
}

/// `gettid(2)` and `getpid(2)`.
package func currentThread() -> Int32 { Int32(rawCall(Int(SYS_gettid))) }
package func currentProcess() -> Int32 { Int32(rawCall(Int(SYS_getpid))) }
package func currentUser() -> UInt32 { UInt32(rawCall(Int(SYS_geteuid))) }
package func currentGroup() -> UInt32 { UInt32(rawCall(Int(SYS_getegid))) }

/// Nanoseconds since 1970. `clock_gettime(2)`, CLOCK_REALTIME.
package func wallClock() -> UInt64 {
  var time = timespec()
  // SAFETY: `time` lives across the call.
  _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Nanoseconds of a clock that nobody sets. `clock_gettime(2)`, CLOCK_MONOTONIC.
package func monotonicClock() -> UInt64 {
  var time = timespec()
  // SAFETY: `time` lives across the call.
  _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// `exit_group(2)`: threads that wait in the kernel are not waited for.
package func exitProcess(_ code: Int32) -> Never {
  while true { rawCall(Int(SYS_exit_group), Int(code)) }
}
