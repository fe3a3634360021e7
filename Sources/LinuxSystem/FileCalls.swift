package import CLinux

// Calls on files, on the kernel's own terms: a value, or -errno. The supervisor hands most errnos on as they are, so
// nothing here throws. EINTR is not retried: the one who holds a notification decides.

/// `openat2(2)`, since Linux 5.6, of the path from byte `start`. `resolve`: RESOLVE_* bits. Returns a descriptor.
package func openAt2(
  _ directory: Int32, _ path: PathText, from start: Int = 0, flags: UInt64, mode: UInt64 = 0, resolve: UInt64
) -> Int {
  var how = open_how(flags: flags, mode: mode, resolve: resolve)
  return path.withAddress { address in
    // SAFETY: `how` and the path outlive the call.
    unsafe withUnsafePointer(to: &how) { how in
      rawCall(
        Int(CLINUX_SYS_OPENAT2), Int(directory), address + start, kernelAddress(how),
        MemoryLayout<open_how>.size)
    }
  }
}

/// `open(2)` relative to a directory. Returns a descriptor.
package func openAt(_ directory: Int32, _ path: PathText, flags: Int32, mode: UInt32 = 0) -> Int {
  path.withAddress { rawCall(Int(SYS_openat), Int(directory), $0, Int(flags), Int(mode)) }
}

@discardableResult
package func closeDescriptor(_ number: Int32) -> Int { rawCall(Int(SYS_close), Int(number)) }

/// `fstat(2)`.
package func statDescriptor(_ number: Int32, _ result: inout stat) -> Int {
  // SAFETY: `result` lives across the call.
  unsafe withUnsafeMutablePointer(to: &result) { rawCall(Int(SYS_fstat), Int(number), kernelAddress($0)) }
}

/// The number that a list of mounts has for the mount that an open file lies on; nil where it cannot be had. `statx(2)`,
/// STATX_MNT_ID, since Linux 5.8.
package func mountNumber(of descriptor: Int32) -> UInt64? {
  let wanted: UInt32 = 0x1000
  // `struct statx` is 256 bytes; stx_mask comes first, stx_mnt_id at 144.
  var words = InlineArray<32, UInt64>(repeating: 0)
  let empty = PathText()
  let result = empty.withAddress { path in
    // SAFETY: 256 bytes, alive across the call.
    unsafe withUnsafeMutablePointer(to: &words) {
      rawCall(
        Int(SYS_statx), Int(descriptor), path, Int(AT_EMPTY_PATH), Int(wanted), kernelAddress($0))
    }
  }
  return result == 0 && UInt32(truncatingIfNeeded: words[0]) & wanted != 0 ? words[18] : nil
}

/// `fstatat(2)`; `flags`: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
package func statAt(
  _ directory: Int32, _ path: PathText, from start: Int = 0, _ result: inout stat, flags: Int32
) -> Int {
  path.withAddress { address in
    // SAFETY: `result` lives across the call.
    unsafe withUnsafeMutablePointer(to: &result) {
      rawCall(Int(SYS_newfstatat), Int(directory), address + start, kernelAddress($0), Int(flags))
    }
  }
}

/// Whether two absolute paths lead to the same object: device and inode. Also magic links of /proc. `stat(2)`
package func leadToSame(_ one: PathText, _ other: PathText) -> Bool {
  var (first, second) = (stat(), stat())
  return statAt(-1, one, &first, flags: 0) == 0 && statAt(-1, other, &second, flags: 0) == 0
    && first.st_dev == second.st_dev && first.st_ino == second.st_ino
}

/// `readlinkat(2)`: the target, without NUL, into `target`. Returns its length. An empty `path` reads the link that
/// `directory` (O_PATH) is.
package func readLinkAt(_ directory: Int32, _ path: PathText, into target: inout PathText) -> Int {
  path.withAddress { address in
    target.fill(capacity: PathText.limit) { buffer in
      rawCall(Int(SYS_readlinkat), Int(directory), address, buffer, PathText.limit)
    }
  }
}

/// `unlinkat(2)`; `flags`: 0 or AT_REMOVEDIR.
package func unlinkAt(_ directory: Int32, _ name: PathText, flags: Int32) -> Int {
  name.withAddress { rawCall(Int(SYS_unlinkat), Int(directory), $0, Int(flags)) }
}

/// `mkdirat(2)`.
package func mkdirAt(_ directory: Int32, _ name: PathText, mode: UInt32) -> Int {
  name.withAddress { rawCall(Int(SYS_mkdirat), Int(directory), $0, Int(mode)) }
}

/// `mknodat(2)`; `device` in the kernel's encoding, as the caller gave it.
package func mknodAt(_ directory: Int32, _ name: PathText, mode: UInt32, device: UInt64) -> Int {
  name.withAddress { rawCall(Int(SYS_mknodat), Int(directory), $0, Int(mode), Int(bitPattern: UInt(device))) }
}

/// `symlinkat(2)`: `target` is text, never resolved.
package func symlinkAt(_ target: PathText, _ directory: Int32, _ name: PathText) -> Int {
  target.withAddress { target in name.withAddress { rawCall(Int(SYS_symlinkat), target, Int(directory), $0) }
  }
}

/// `renameat2(2)`, since Linux 3.15.
package func renameAt2(
  _ from: Int32, _ fromName: PathText, _ to: Int32, _ toName: PathText, flags: UInt32
) -> Int {
  fromName.withAddress { old in
    toName.withAddress { rawCall(Int(SYS_renameat2), Int(from), old, Int(to), $0, Int(flags)) }
  }
}

/// `linkat(2)`; `flags`: 0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH.
package func linkAt(_ from: Int32, _ fromName: PathText, _ to: Int32, _ toName: PathText, flags: Int32) -> Int
{
  fromName.withAddress { old in
    toName.withAddress { rawCall(Int(SYS_linkat), Int(from), old, Int(to), $0, Int(flags)) }
  }
}

/// `ftruncate(2)`.
package func truncateDescriptor(_ number: Int32, length: Int64) -> Int {
  rawCall(Int(SYS_ftruncate), Int(number), Int(length))
}

/// `write(2)` until all is written. Returns 0, or -errno with a part written; ENOSPC where nothing more is taken.
package func writeAll(_ file: Int32, _ bytes: [UInt8]) -> Int {
  var done = 0
  while done < bytes.count {
    // SAFETY: the range lies inside the array.
    let written = unsafe bytes.withUnsafeBufferPointer { buffer in
      retryingInterrupt {
        rawCall(Int(SYS_write), Int(file), kernelAddress(buffer.baseAddress) + done, buffer.count - done)
      }
    }
    guard written > 0 else { return written < 0 ? written : -Int(ENOSPC) }
    done += written
  }
  return 0
}

/// Opens the directory `name` in `directory` and makes it with `mode` where it is missing. No link is followed: ELOOP.
/// Returns a descriptor (O_PATH). `openat2(2)`, `mkdirat(2)`
package func openOrMakeDirectory(_ directory: Int32, _ name: PathText, mode: UInt32) -> Int {
  let opened = openDirectoryItself(directory, name)
  guard opened == -Int(ENOENT) else { return opened }
  // What is there by now, or cannot be made, shows at the next line.
  _ = mkdirAt(directory, name, mode: mode)
  return openDirectoryItself(directory, name)
}

/// Opens a directory without following any link on the way: ELOOP.
package func openDirectoryItself(_ directory: Int32, _ path: PathText) -> Int {
  openAt2(
    directory, path, flags: UInt64(UInt32(bitPattern: O_PATH | O_DIRECTORY | O_CLOEXEC)),
    resolve: UInt64(RESOLVE_NO_SYMLINKS))
}

/// The same below the root, name by name, each made where it is missing.
package func openOrMakeDirectory(_ names: some Sequence<PathText>, mode: UInt32) -> Int {
  var opened = openDirectoryItself(AT_FDCWD, PathText("/"))
  for name in names where opened >= 0 {
    let above = FileDescriptor(owning: Int32(opened))
    opened = openOrMakeDirectory(above.number, name, mode: mode)
  }
  return opened
}

/// `fcntl(2)` with a number as argument.
package func controlDescriptor(_ number: Int32, _ command: Int32, _ argument: Int = 0) -> Int {
  rawCall(Int(SYS_fcntl), Int(number), Int(command), argument)
}

/// `read(2)` of a whole small file (as /proc has them) into `text`. Returns the count or -errno.
package func readWhole(_ directory: Int32, _ path: PathText, into text: inout PathText) -> Int {
  let opened = openAt(directory, path, flags: O_RDONLY | O_CLOEXEC | O_NOCTTY)
  guard opened >= 0 else { return opened }
  let file = FileDescriptor(owning: Int32(opened))
  return text.fill(capacity: PathText.limit) { buffer in
    rawCall(Int(SYS_read), Int(file.number), buffer, PathText.limit)
  }
}

/// `umask(2)` of the calling thread's file-system state. Returns the old mask.
@discardableResult
package func setFileCreationMask(_ mask: UInt32) -> UInt32 { UInt32(rawCall(Int(SYS_umask), Int(mask))) }

/// File types, `inode(7)`.
package enum FileType: Sendable, Equatable {
  case regular, directory, link, fifo, socket, characterDevice, blockDevice, other

  package init(mode: UInt32) {
    switch Int32(bitPattern: mode) & Int32(bitPattern: UInt32(S_IFMT)) {
    case S_IFREG: self = .regular
    case S_IFDIR: self = .directory
    case S_IFLNK: self = .link
    case S_IFIFO: self = .fifo
    case S_IFSOCK: self = .socket
    case S_IFCHR: self = .characterDevice
    case S_IFBLK: self = .blockDevice
    default: self = .other
    }
  }
}
