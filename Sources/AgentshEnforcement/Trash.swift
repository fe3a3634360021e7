import AgentshWire
import CLinux
import LinuxSystem

// soft_delete: a file is moved to a trash directory instead of being deleted.
//
// The race: as for unlink the directory is pinned, and what is moved is the component in it; the kernel follows nothing
// there. It is moved over a file that was made for it. So what became a directory meanwhile, with all that is in it, is not moved
// (ENOTDIR), and nothing that lies in the trash is replaced. `rename(2)`

/// The trash directories of a session: what goes there, and how.
package struct Trash: Sendable {
  /// Best first; what lies on another file system goes to the next.
  private let places: [PathText]
  private let session: String
  private let owner: UInt32

  package init(places: [String], session: String, owner: UInt32) {
    self.places = places.map { PathText($0) }
    self.session = session
    self.owner = owner
  }

  enum Outcome: Equatable {
    /// It lies there.
    case moved
    /// The kernel, or the disk, did not want it: what the caller is told. Nothing has changed.
    case failed(errno: Int32)
    /// There is no trash on its file system that is the owner's alone. Nothing has changed.
    case nowhere
  }

  /// Moves the file `named` in `parent`. `name` is its canonical name; `place` becomes the name that it has then.
  /// The thread's umask must be 077.
  func take(
    _ parent: Int32, _ named: PathText, name: PathText, rule: String, into place: inout PathText
  ) -> Outcome {
    var information = stat()
    // A slash behind it asks for a directory, which unlink refuses as well.
    var leaf = named
    leaf.cutSlash()
    let looked = statAt(parent, leaf, &information, flags: AT_SYMLINK_NOFOLLOW)
    guard looked == 0 else { return .failed(errno: Int32(truncatingIfNeeded: -looked)) }
    guard FileType(mode: information.st_mode) != .directory else { return .failed(errno: EISDIR) }
    guard leaf.count == named.count else { return .failed(errno: ENOTDIR) }
    let now = wallClock()
    let entry = TrashEntry(
      path: Array(name.bytes), deleted: now / 1_000_000_000, session: session, rule: rule)
    let note = Array(entry.text.utf8)
    for path in places {
      guard let directory = open(path), let files = below(directory, TrashEntry.files),
        let info = below(directory, TrashEntry.info)
      else { continue }
      // Sorted by time. Whose name is taken, by another thread or session, takes the next.
      var id = PathText()
      var moved = -Int(EEXIST)
      for next in now..<now + 64 where moved == -Int(EEXIST) {
        id = PathText(String(next, radix: 16))
        moved = move(parent, leaf, files, info, id, note)
      }
      switch Int32(truncatingIfNeeded: -moved) {
      case 0: break
      case EXDEV: continue
      // It has become a directory, for the parent is one: what unlink says of those.
      case ENOTDIR: return .failed(errno: EISDIR)
      case let errno: return .failed(errno: errno)
      }
      place = path
      place.append("/\(TrashEntry.files)/".utf8)
      place.append(id)
      return .moved
    }
    return .nowhere
  }

  /// 0, or -errno with nothing left behind.
  private func move(
    _ parent: Int32, _ leaf: PathText, _ files: borrowing FileDescriptor, _ info: borrowing FileDescriptor,
    _ id: PathText, _ note: [UInt8]
  ) -> Int {
    let written = Self.write(note, info, id, mode: 0o600)
    guard written == 0 else { return written }
    var result = Self.write([], files, id, mode: TrashEntry.placeMode)
    if result == 0 {
      result = renameAt2(parent, leaf, files.number, id, flags: 0)
      if result != 0 { _ = unlinkAt(files.number, id, flags: 0) }
    }
    if result != 0 { _ = unlinkAt(info.number, id, flags: 0) }
    return result
  }

  /// A new file, whole; 0, or -errno and there is none.
  private static func write(
    _ bytes: [UInt8], _ directory: borrowing FileDescriptor, _ name: PathText, mode: UInt32
  ) -> Int {
    let opened = openAt(
      directory.number, name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode: 0o600)
    guard opened >= 0 else { return opened }
    let file = FileDescriptor(owning: Int32(opened))
    var result = writeAll(file.number, bytes)
    if result == 0 { result = rawCall(Int(SYS_fchmod), Int(file.number), Int(mode)) }
    if result != 0 { _ = unlinkAt(directory.number, name, flags: 0) }
    return result
  }

  // MARK: the directories

  /// The trash directory, made where it is missing; nil where it cannot be, is behind a link, or is not the owner's alone. Rules
  /// are about the canonical names that the places have.
  private func open(_ path: PathText) -> FileDescriptor? {
    let opened = openDirectoryItself(AT_FDCWD, path)
    guard opened == -Int(ENOENT) else { return checked(opened) }
    let names = path.bytes.split(separator: UInt8(ascii: "/")).map { PathText($0) }
    guard let made = checked(openOrMakeDirectory(names, mode: 0o700)) else { return nil }
    // In a workspace it is no part of the work.
    _ = Self.write(Array("*\n".utf8), made, PathText(".gitignore"), mode: 0o600)
    return made
  }

  private func below(_ directory: borrowing FileDescriptor, _ name: String) -> FileDescriptor? {
    checked(openOrMakeDirectory(directory.number, PathText(name), mode: 0o700))
  }

  /// Whoever else could write there could take what was deleted, or put something else in its place.
  private func checked(_ opened: Int) -> FileDescriptor? {
    guard opened >= 0 else { return nil }
    let directory = FileDescriptor(owning: Int32(opened))
    var information = stat()
    guard statDescriptor(directory.number, &information) == 0, information.st_uid == owner,
      information.st_mode & 0o077 == 0
    else { return nil }
    return directory
  }
}
