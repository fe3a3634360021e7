import CLinux
import LinuxSystem

/// The JSONL file beside the database: one event per line, appended with one write(2) per batch.
///
/// Its length belongs to the database's transaction (`EventStore`), so a crash between the two leaves no line twice.
struct Journal: ~Copyable {
  let path: String
  let rotateAt: Int
  let keep: Int
  private var file: FileDescriptor
  private(set) var length: Int

  /// Creates the file 0600, and cuts off what was written after `committed` and never acknowledged. Throws EACCES,
  /// EISDIR, ENOSPC. `open(2)`
  init(path: String, committed: Int?, rotateAt: Int, keep: Int) throws(SystemCallError) {
    let opened = try Self.open(path)
    let size = try check("lseek", rawCall(Int(SYS_lseek), Int(opened.number), 0, Int(SEEK_END)))
    let kept = min(size, committed ?? size)
    if kept < size { try check("ftruncate", truncateDescriptor(opened.number, length: Int64(kept))) }
    self.path = path
    self.rotateAt = rotateAt
    self.keep = keep
    file = opened
    length = kept
  }

  private static func open(_ path: String) throws(SystemCallError) -> FileDescriptor {
    let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW
    let raw = retryingInterrupt { openAt(AT_FDCWD, PathText(path), flags: flags, mode: 0o600) }
    return FileDescriptor(owning: Int32(try check("open", raw)))
  }

  /// All of the bytes or none: what a full disk took of them is cut off again. Throws ENOSPC, EFBIG, EIO. `write(2)`
  mutating func append(_ bytes: [UInt8]) throws(SystemCallError) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the range lies inside the array, which is not changed meanwhile.
      let wrote = unsafe bytes.withUnsafeBytes { buffer in
        retryingInterrupt {
          rawCall(
            Int(SYS_write), Int(file.number), Int(bitPattern: buffer.baseAddress) + done, buffer.count - done)
        }
      }
      if wrote <= 0 {
        try truncate(to: length)
        throw SystemCallError("write", wrote < 0 ? Int32(-wrote) : ENOSPC)
      }
      done += wrote
    }
    length += bytes.count
  }

  /// Back to a length the database knows of. `ftruncate(2)`
  mutating func truncate(to target: Int) throws(SystemCallError) {
    try check("ftruncate", retryingInterrupt { truncateDescriptor(file.number, length: Int64(target)) })
    length = target
  }

  /// `events.jsonl` becomes `events.jsonl.1`, that one `.2`, and so on; the oldest goes. `rename(2)`
  mutating func rotateIfFull() throws(SystemCallError) {
    guard length >= rotateAt else { return }
    for index in stride(from: keep - 1, through: 1, by: -1) {
      try? Self.rename("\(path).\(index)", "\(path).\(index + 1)")
    }
    try Self.rename(path, "\(path).1")
    file = try Self.open(path)
    length = 0
  }

  private static func rename(_ from: String, _ to: String) throws(SystemCallError) {
    try check("rename", renameAt2(AT_FDCWD, PathText(from), AT_FDCWD, PathText(to), flags: 0))
  }
}
