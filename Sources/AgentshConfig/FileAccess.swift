import CLinux
import LinuxSystem

/// Opens a directory, CLOEXEC. `flags` are added to O_DIRECTORY. `openat(2)`.
func openDirectory(at directory: Int32, _ path: String, flags: Int32) throws(SystemCallError)
  -> FileDescriptor
{
  FileDescriptor(owning: Int32(try openFile(at: directory, path, flags: flags | O_DIRECTORY)))
}

private func openFile(at directory: Int32, _ path: String, flags: Int32) throws(SystemCallError) -> Int {
  var text = Array(path.utf8CString)
  let result = retryingInterrupt {
    unsafe text.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: the string is closed by a zero and lives through the call.
      rawCall(
        Int(SYS_openat), Int(directory), kernelAddress(buffer.baseAddress),
        Int(flags | O_CLOEXEC | O_RDONLY))
    }
  }
  return try check("open", result)
}

/// `fstat(2)`; O_PATH descriptors are fine.
func fileStatus(_ file: borrowing FileDescriptor) throws(SystemCallError) -> stat {
  var status = stat()
  let number = file.number
  // SAFETY: the kernel writes one struct stat of this architecture, which is what libc declares.
  let result = unsafe withUnsafeMutablePointer(to: &status) { place in
    rawCall(Int(SYS_fstat), Int(number), kernelAddress(place))
  }
  try check("fstat", result)
  return status
}

/// A regular file's bytes; EFBIG when there are more than `limit`, EISDIR or EINVAL when it is not a regular file.
///
/// Never blocks on a FIFO (O_NONBLOCK). `open(2)`, `read(2)`.
func readFile(_ path: String, limit: Int) throws(SystemCallError) -> [UInt8] {
  guard !path.utf8.contains(0) else { throw SystemCallError("open", EINVAL) }
  let file = FileDescriptor(owning: Int32(try openFile(at: AT_FDCWD, path, flags: O_NONBLOCK | O_NOCTTY)))
  let status = try fileStatus(file)
  let type = status.st_mode & UInt32(S_IFMT)
  guard type == UInt32(S_IFREG) else {
    throw SystemCallError("open", type == UInt32(S_IFDIR) ? EISDIR : EINVAL)
  }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let number = file.number
    let count = retryingInterrupt {
      unsafe buffer.withUnsafeMutableBytes { place in
        // SAFETY: the kernel writes at most place.count bytes there.
        rawCall(Int(SYS_read), Int(number), kernelAddress(place.baseAddress), place.count)
      }
    }
    guard try check("read", count) > 0 else { return bytes }
    bytes += buffer[..<count]
    guard bytes.count <= limit else { throw SystemCallError("read", EFBIG) }
  }
}

/// Whether something is there, whatever it is; links are not followed at the end. `faccessat2(2)` via AT_SYMLINK_NOFOLLOW
/// is newer than the kernels we name, so this asks with O_PATH.
func exists(_ path: String) -> Bool {
  guard !path.utf8.contains(0),
    let number = try? openFile(at: AT_FDCWD, path, flags: O_PATH | O_NOFOLLOW)
  else { return false }
  _ = FileDescriptor(owning: Int32(number))
  return true
}

extension SystemCallError {
  /// Nothing of that name is there, as opposed to: it cannot be had.
  var isAbsence: Bool { errno == ENOENT || errno == ENOTDIR }
}
