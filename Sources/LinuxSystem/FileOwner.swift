package import CLinux

/// Owner and type of what a path leads to, links followed; nil when it cannot be looked at. `stat(2)`.
package func ownerAndType(_ path: String) -> (uid: UInt32, type: FileType)? {
  var status = stat()
  guard statAt(AT_FDCWD, PathText(path), &status, flags: 0) == 0 else { return nil }
  return (status.st_uid, FileType(mode: status.st_mode))
}

/// When it was last changed itself, in seconds since 1970.
package func changeTime(_ status: stat) -> UInt64 { UInt64(max(0, status.st_ctim.tv_sec)) }

/// Owner and type of an open descriptor. `fstat(2)`.
package func ownerAndType(descriptor: Int32) -> (uid: UInt32, type: FileType)? {
  var status = stat()
  guard statDescriptor(descriptor, &status) == 0 else { return nil }
  return (status.st_uid, FileType(mode: status.st_mode))
}
