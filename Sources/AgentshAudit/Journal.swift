import CLinux
import LinuxSystem

/// The JSONL file beside the database: one event per line, appended with one write(2) per batch.
///
/// Its length belongs to the database's transaction (`EventStore`), whose lock also keeps other processes away: what is
/// behind the committed length was never acknowledged and is cut off before the next batch.
struct Journal: ~Copyable {
  let path: String
  let rotateAt: Int
  let keep: Int
  private var file: FileDescriptor
  private var identity: Identity

  fileprivate struct Identity: Equatable {
    let device: UInt
    let inode: UInt
  }

  /// Opens or creates the file, 0600. Throws EACCES, EISDIR, ENOSPC. `open(2)`
  init(path: String, rotateAt: Int, keep: Int) throws(SystemCallError) {
    let opened = try Self.open(path)
    let found = try Self.status(of: opened).identity
    self.path = path
    self.rotateAt = rotateAt
    self.keep = keep
    identity = found
    file = opened
  }

  /// Makes the file ready behind `committed`, the length the database knows of; inside its transaction. A full file is
  /// set aside; one that somebody else set aside is opened anew. Returns the length that lines are appended at.
  mutating func prepare(committed: Int?) throws(SystemCallError) -> Int {
    var found = stat()
    let there = statAt(AT_FDCWD, PathText(path), &found, flags: AT_SYMLINK_NOFOLLOW)
    if there < 0 || Identity(found) != identity { try reopen() }
    var length = try Self.status(of: file).size
    if let committed, length > committed {
      try truncate(to: committed)
      length = committed
    }
    guard length >= rotateAt else { return length }
    try rotate()
    return 0
  }

  /// All of the bytes or none: what a full disk took of them is cut off again. Throws ENOSPC, EFBIG, EIO. `write(2)`
  mutating func append(_ bytes: [UInt8], at length: Int) throws(SystemCallError) {
    let result = writeAll(file.number, bytes)
    guard result < 0 else { return }
    try truncate(to: length)
    throw SystemCallError("write", Int32(-result))
  }

  /// Back to a length the database knows of. `ftruncate(2)`
  func truncate(to length: Int) throws(SystemCallError) {
    try check("ftruncate", retryingInterrupt { truncateDescriptor(file.number, length: Int64(length)) })
  }

  /// `events.jsonl` becomes `events.jsonl.1`, that one `.2`, and so on; the oldest goes. `rename(2)`
  private mutating func rotate() throws(SystemCallError) {
    for index in stride(from: keep - 1, through: 1, by: -1) {
      // A number that is not there yet is no failure.
      try? Self.rename("\(path).\(index)", "\(path).\(index + 1)")
    }
    try Self.rename(path, "\(path).1")
    try reopen()
  }

  private mutating func reopen() throws(SystemCallError) {
    let opened = try Self.open(path)
    identity = try Self.status(of: opened).identity
    file = opened
  }

  private static func open(_ path: String) throws(SystemCallError) -> FileDescriptor {
    let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW
    let raw = retryingInterrupt { openAt(AT_FDCWD, PathText(path), flags: flags, mode: 0o600) }
    return FileDescriptor(owning: Int32(try check("open", raw)))
  }

  private static func status(
    of file: borrowing FileDescriptor
  ) throws(SystemCallError) -> (identity: Identity, size: Int) {
    var found = stat()
    try check("fstat", statDescriptor(file.number, &found))
    return (Identity(found), Int(found.st_size))
  }

  private static func rename(_ from: String, _ to: String) throws(SystemCallError) {
    try check("rename", renameAt2(AT_FDCWD, PathText(from), AT_FDCWD, PathText(to), flags: 0))
  }
}

extension Journal.Identity {
  fileprivate init(_ found: stat) { self.init(device: UInt(found.st_dev), inode: UInt(found.st_ino)) }
}
