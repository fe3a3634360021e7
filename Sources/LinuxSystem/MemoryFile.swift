import CLinux

/// A file without a name (CLOEXEC), gone with its last descriptor; with these bytes, its offset at their beginning.
/// `memfd_create(2)`.
package func memoryFile(
  _ name: StaticName, holding bytes: [UInt8] = []
) throws(SystemCallError) -> FileDescriptor {
  let text = Array(name.text.utf8) + [0]
  // SAFETY: `text` ends with NUL and lives across the call.
  let result = unsafe text.withUnsafeBytes {
    rawCall(Int(SYS_memfd_create), kernelAddress($0.baseAddress), 1 /* MFD_CLOEXEC */)
  }
  let file = FileDescriptor(owning: Int32(try check("memfd_create", result)))
  let number = file.number
  // SAFETY: `bytes` live across the call. Memory takes all or nothing of so few.
  let written = unsafe bytes.withUnsafeBytes {
    rawCall(Int(SYS_pwrite64), Int(number), kernelAddress($0.baseAddress), $0.count, 0)
  }
  guard try check("pwrite", written) == bytes.count else { throw SystemCallError("pwrite", ENOSPC) }
  return file
}
