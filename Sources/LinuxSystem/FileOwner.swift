import CLinux

/// Owner and type of what a path leads to, links followed; nil when it cannot be looked at. `stat(2)`.
package func ownerAndType(_ path: String) -> (uid: UInt32, type: FileType)? {
  var status = stat()
  guard statAt(AT_FDCWD, PathText(path), &status, flags: 0) == 0 else { return nil }
  return (status.st_uid, FileType(mode: status.st_mode))
}

/// Owner and type of an open descriptor. `fstat(2)`.
package func ownerAndType(descriptor: Int32) -> (uid: UInt32, type: FileType)? {
  var status = stat()
  guard statDescriptor(descriptor, &status) == 0 else { return nil }
  return (status.st_uid, FileType(mode: status.st_mode))
}
