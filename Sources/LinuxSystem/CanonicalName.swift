import CLinux

/// The kernel's name of what `path` leads to, all links followed. Nil where it cannot be opened. What has no name is
/// called by its kind: `pipe:[5]`. `proc_pid_fd(5)`
package func kernelName(_ path: String) -> PathText? {
  let opened = openAt(AT_FDCWD, PathText(path), flags: O_PATH | O_CLOEXEC)
  guard opened >= 0 else { return nil }
  let object = FileDescriptor(owning: Int32(opened))
  var name = PathText()
  guard ProcPath(ownDescriptor: object.number).readLink(into: &name) > 0, !name.isTooLong else { return nil }
  return name
}

/// The same as text. Nil also where it has no name, or one that is not UTF-8.
package func canonicalName(_ path: String) -> String? {
  guard let name = kernelName(path), name.starts(with: "/") else { return nil }
  return String(validating: name.bytes, as: UTF8.self)
}

/// The path of the last component itself, all links on the way to it followed. Nil as for `canonicalName`.
package func canonicalPlace(_ path: String) -> String? {
  // A combining mark behind it makes another character of the slash, to Swift.
  guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
  let leaf = path[path.utf8.index(after: slash)...]
  guard !leaf.isEmpty, leaf != ".", leaf != "..",
    let parent = canonicalName(slash == path.startIndex ? "/" : String(path[..<slash]))
  else { return nil }
  return (parent == "/" ? "" : parent) + "/" + String(leaf)
}
