import CLinux

/// Names in a directory, without `.` and `..`; empty when it cannot be read. `getdents64(2)`
package func directoryNames(_ path: String) -> [String] {
  let opened = openAt(AT_FDCWD, PathText(path), flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard opened >= 0 else { return [] }
  let directory = FileDescriptor(owning: Int32(opened))
  var names: [String] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 15)
  while true {
    // SAFETY: the kernel writes at most the buffer's size.
    let count = unsafe buffer.withUnsafeMutableBytes {
      rawCall(Int(SYS_getdents64), Int(directory.number), kernelAddress($0.baseAddress), $0.count)
    }
    guard count > 0 else { return names }
    var at = 0
    // struct linux_dirent64: inode (8), offset (8), length (2), type (1), name with NUL.
    while at + 19 < count {
      let length = Int(buffer[at + 16]) | Int(buffer[at + 17]) << 8
      guard length > 19, at + length <= count else { break }
      let name = String(decoding: buffer[(at + 19)..<(at + length)].prefix { $0 != 0 }, as: UTF8.self)
      if name != ".", name != ".." { names.append(name) }
      at += length
    }
  }
}

/// Whether something has this name; links are not followed at the end. `newfstatat(2)`
package func isThere(_ path: String) -> Bool {
  var status = stat()
  return statAt(AT_FDCWD, PathText(path), &status, flags: AT_SYMLINK_NOFOLLOW) == 0
}
