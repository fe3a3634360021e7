import CLinux

// Calls on sockets, on the kernel's own terms: a value, or -errno. EINTR is not retried: the one who holds a
// notification decides. Addresses are bytes in a `PathText`, whose NUL behind them is not counted.

/// A new socket; tests and probes need it. `socket(2)`.
package func makeSocket(_ domain: Int32, _ type: Int32, _ proto: Int32 = 0) -> Int {
  rawCall(Int(SYS_socket), Int(domain), Int(type), Int(proto))
}

/// `connect(2)`. Blocks on a blocking stream socket.
package func connectSocket(_ socket: Int32, _ address: PathText, length: Int) -> Int {
  address.withAddress { rawCall(Int(SYS_connect), Int(socket), $0, length) }
}

/// `bind(2)`. A path in `address` is resolved in the calling thread's frame.
package func bindSocket(_ socket: Int32, _ address: PathText, length: Int) -> Int {
  address.withAddress { rawCall(Int(SYS_bind), Int(socket), $0, length) }
}

/// An option of SOL_SOCKET that is one int. nil: no socket (ENOTSOCK), an O_PATH handle (EBADF), or unknown. `socket(7)`.
package func socketOption(_ socket: Int32, _ option: Int32) -> Result<Int32, SystemCallError> {
  var value: Int32 = 0
  var length = UInt32(4)
  // SAFETY: both live across the call, which writes at most four bytes.
  let result = unsafe withUnsafeMutablePointer(to: &value) { value in
    unsafe withUnsafeMutablePointer(to: &length) { length in
      rawCall(
        Int(SYS_getsockopt), Int(socket), Int(SOL_SOCKET), Int(option), kernelAddress(value),
        kernelAddress(length))
    }
  }
  return result < 0
    ? .failure(SystemCallError("getsockopt", Int32(truncatingIfNeeded: -result))) : .success(value)
}

/// Two machine words of an option of SOL_SOCKET: SO_SNDTIMEO as seconds and microseconds, SO_LINGER as its two ints in
/// the first. nil when the kernel refuses. `socket(7)`.
package func socketOptionWords(_ socket: Int32, _ option: Int32) -> (Int, Int)? {
  var value: (Int, Int) = (0, 0)
  var length = UInt32(16)
  // SAFETY: both live across the call, which writes at most sixteen bytes.
  let result = unsafe withUnsafeMutablePointer(to: &value) { value in
    unsafe withUnsafeMutablePointer(to: &length) { length in
      rawCall(
        Int(SYS_getsockopt), Int(socket), Int(SOL_SOCKET), Int(option), kernelAddress(value),
        kernelAddress(length))
    }
  }
  return result < 0 ? nil : value
}

/// How many more bytes a stream socket takes at once, by what it has queued; 0 when unknown. SO_MEMINFO, since Linux 4.12.
package func socketRoom(_ socket: Int32) -> Int {
  var values: InlineArray<16, UInt32> = .init(repeating: 0)
  var length = UInt32(64)
  // SAFETY: both live across the call, which writes at most 64 bytes.
  let result = unsafe withUnsafeMutablePointer(to: &values) { values in
    unsafe withUnsafeMutablePointer(to: &length) { length in
      rawCall(
        Int(SYS_getsockopt), Int(socket), Int(SOL_SOCKET), 55, kernelAddress(values),
        kernelAddress(length))
    }
  }
  guard result == 0, length >= 24 else { return 0 }
  // SK_MEMINFO_WMEM_ALLOC, _SNDBUF, _WMEM_QUEUED
  return max(0, Int(values[3]) - max(Int(values[2]), Int(values[5])))
}

/// One message as `sendmsg(2)` takes it: the bytes at `address` and `control` stay alive across the call.
package func sendMessage(
  _ socket: Int32, to address: PathText?, length: Int, payload: Span<UInt8>, control: Span<UInt8>,
  flags: Int32
) -> Int {
  // SAFETY: all four live across the call; the kernel only reads them.
  unsafe payload.withUnsafeBufferPointer { payload in
    unsafe control.withUnsafeBufferPointer { control in
      var part = unsafe iovec(
        iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress), iov_len: payload.count)
      return unsafe withUnsafeMutablePointer(to: &part) { part in
        func send(_ name: Int) -> Int {
          var message = unsafe msghdr(
            msg_name: UnsafeMutableRawPointer(bitPattern: name), msg_namelen: UInt32(name == 0 ? 0 : length),
            msg_iov: part, msg_iovlen: 1,
            msg_control: control.isEmpty ? nil : UnsafeMutableRawPointer(mutating: control.baseAddress),
            msg_controllen: control.count, msg_flags: 0)
          return unsafe withUnsafePointer(to: &message) {
            rawCall(Int(SYS_sendmsg), Int(socket), kernelAddress($0), Int(flags))
          }
        }
        return address?.withAddress(send) ?? send(0)
      }
    }
  }
}

/// A piece of another process's memory.
package struct RemoteRange: Equatable, Sendable {
  package var address: UInt64
  package var count: Int
  package init(address: UInt64, count: Int) {
    self.address = address
    self.count = count
  }
}

/// Copies up to 1024 pieces of another process's memory, one behind the other. Returns all bytes, or the errno: EFAULT
/// also when a piece is not wholly mapped. `process_vm_readv(2)`.
package func readProcessRanges(
  _ process: Int32, _ ranges: borrowing [RemoteRange]
) -> Result<[UInt8], SystemCallError> {
  let total = ranges.reduce(0) { $0 + $1.count }
  if total == 0 { return .success([]) }
  var result = 0
  let remote = unsafe ranges.map {
    unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: UInt($0.address)), iov_len: $0.count)
  }
  // SAFETY: the kernel writes at most `total` bytes into the new array; `remote` are only numbers here.
  let bytes = unsafe [UInt8](unsafeUninitializedCapacity: total) { buffer, filled in
    var local = unsafe iovec(iov_base: buffer.baseAddress, iov_len: total)
    unsafe remote.withUnsafeBufferPointer { remote in
      result = unsafe withUnsafePointer(to: &local) {
        rawCall(
          Int(SYS_process_vm_readv), Int(process), kernelAddress($0), 1,
          kernelAddress(remote.baseAddress),
          remote.count, 0)
      }
    }
    filled = max(0, min(result, total))
  }
  if result < 0 { return .failure(SystemCallError("process_vm_readv", Int32(truncatingIfNeeded: -result))) }
  return result == total ? .success(bytes) : .failure(SystemCallError("process_vm_readv", EFAULT))
}

/// Gives the calling thread a file-system state (cwd, root, umask) of its own. `unshare(2)`, CLONE_FS.
package func separateFileSystemState() -> Int { rawCall(Int(SYS_unshare), 0x200) }

/// `fchdir(2)`, of the calling thread's file-system state.
package func changeDirectory(_ directory: Int32) -> Int { rawCall(Int(SYS_fchdir), Int(directory)) }

/// From now on the calling thread makes Unix sockets only below `directory`; for good, and nothing else changes.
/// Returns 0 or -errno: ENOSYS, EOPNOTSUPP without Landlock, E2BIG beyond 16 layers. `landlock(7)`.
package func confineSocketCreation(to directory: Int32) -> Int {
  let makeSocketRight: UInt64 = 1 << 9
  var attributes = clinux_landlock_ruleset_attr()
  attributes.handled_access_fs = makeSocketRight
  // SAFETY: the structures live across the calls. ABI 1 knows the first field alone.
  let made = unsafe withUnsafePointer(to: &attributes) { rawCall(444, kernelAddress($0), 8, 0) }
  guard made >= 0 else { return made }
  let ruleset = FileDescriptor(owning: Int32(truncatingIfNeeded: made))
  var rule = clinux_landlock_path_beneath(allowed_access: makeSocketRight, parent_fd: directory)
  let added = unsafe withUnsafePointer(to: &rule) {
    rawCall(445, Int(ruleset.number), 1, kernelAddress($0), 0)
  }
  guard added >= 0 else { return added }
  let privileges = rawCall(Int(SYS_prctl), Int(PR_SET_NO_NEW_PRIVS), 1)
  guard privileges >= 0 else { return privileges }
  return rawCall(446, Int(ruleset.number), 0)
}

/// Takes on an effective gid and uid (raw: the calling thread's alone), leaving the real and saved ones to come back
/// by. Returns 0 or -errno. `setresgid(2)`, `setresuid(2)`.
package func becomeEffective(uid: UInt32, gid: UInt32) -> Int {
  let group = rawCall(Int(SYS_setresgid), -1, Int(gid), -1)
  guard group == 0 else { return group }
  return rawCall(Int(SYS_setresuid), -1, Int(uid), -1)
}

/// Root again, after `becomeEffective`: the user first, because only root may choose its group.
package func becomeRootAgain() -> Int {
  let user = rawCall(Int(SYS_setresuid), -1, 0, -1)
  guard user == 0 else { return user }
  return rawCall(Int(SYS_setresgid), -1, 0, -1)
}
