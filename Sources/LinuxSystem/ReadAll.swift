import CLinux

/// The whole of a file, as /proc and small configuration files are read; at most `limit` bytes (EFBIG beyond).
///
/// `read(2)`.
package func readAll(_ path: String, limit: Int) -> Result<[UInt8], SystemCallError> {
  let opened = openAt(-100, PathText(path), flags: O_RDONLY | O_CLOEXEC | O_NOCTTY)
  guard opened >= 0 else { return .failure(SystemCallError("open", Int32(-opened))) }
  let file = FileDescriptor(owning: Int32(opened))
  return readAll(file.number, limit: limit)
}

/// The same of an open file, from its offset on.
package func readAll(_ file: Int32, limit: Int) -> Result<[UInt8], SystemCallError> {
  var out: [UInt8] = []
  var chunk = PathText()
  while true {
    let count = chunk.fill(capacity: PathText.limit) {
      rawCall(Int(SYS_read), Int(file), $0, PathText.limit)
    }
    if count == -Int(EINTR) { continue }
    if count < 0 { return .failure(SystemCallError("read", Int32(-count))) }
    if count == 0 { return .success(out) }
    out.append(contentsOf: chunk.bytes)
    if out.count > limit { return .failure(SystemCallError("read", EFBIG)) }
  }
}
