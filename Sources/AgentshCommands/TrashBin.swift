import AgentshWire
import CLinux
import LinuxSystem

/// What lies in a trash directory. Nothing of it is the daemon's: it belongs to the user, and so does whoever takes things
/// out of it.
struct TrashBin {
  let directory: String

  /// One file that was deleted softly, or what is left of one.
  struct Item {
    let id: String
    let bin: TrashBin
    /// nil: its note cannot be read, or there is none.
    let entry: TrashEntry?
    /// nil: there is no file, or only the place that was kept for one when the supervisor was killed.
    let size: Int64?
    /// Seconds since 1970; where there is no note the time of the file's last change.
    let deleted: UInt64

    var file: String { bin.file(id) }
    var note: String { bin.note(id) }
  }

  private func file(_ id: String) -> String { directory + "/\(TrashEntry.files)/" + id }
  private func note(_ id: String) -> String { directory + "/\(TrashEntry.info)/" + id }

  /// The directories that are there, of those where a session with one of the `workspaces` puts things.
  static func all(home: String, workspaces: [String]) -> [TrashBin] {
    var seen: Set<[UInt8]> = []
    return workspaces.flatMap { TrashEntry.directories(home: home, workspace: $0) }
      .filter { seen.insert(Array($0.utf8)).inserted && isThere($0) }.map { TrashBin(directory: $0) }
  }

  /// All that is there, oldest first.
  func items() -> [Item] {
    let files = directoryNames(directory + "/" + TrashEntry.files)
    let notes = directoryNames(directory + "/" + TrashEntry.info)
    return Set(files).union(notes).map { item($0) }.sorted { ($0.deleted, $0.id) < ($1.deleted, $1.id) }
  }

  private func item(_ id: String) -> Item {
    var entry: TrashEntry?
    if case .success(let text) = readAll(note(id), limit: TrashEntry.limit) {
      entry = TrashEntry(text: text)
    }
    var status = stat()
    let looked = statAt(AT_FDCWD, PathText(file(id)), &status, flags: AT_SYMLINK_NOFOLLOW)
    let isPlace = status.st_size == 0 && status.st_mode == UInt32(S_IFREG) | TrashEntry.placeMode
    return Item(
      id: id, bin: self, entry: entry, size: looked == 0 && !isPlace ? Int64(status.st_size) : nil,
      deleted: entry?.deleted ?? changeTime(status))
  }
}

extension TrashBin.Item {
  /// Moves the file to `path`, or back to where it was. Nothing is overwritten. Returns its name.
  func restore(to path: String?) throws(CommandFailure) -> String {
    guard size != nil else { throw CommandFailure("\(id) is only the place of a file that was not deleted") }
    if let path {
      try move(to: AT_FDCWD, PathText(path), named: path)
      return path
    }
    guard let entry else {
      throw CommandFailure("nothing says where \(id) was", hint: "agentsh trash restore \(id) --to PATH")
    }
    let text = String(decoding: entry.path, as: UTF8.self)
    let names = entry.path.split(separator: UInt8(ascii: "/")).map { PathText($0) }
    guard let leaf = names.last else { throw CommandFailure("nothing can be restored to \(text)") }
    let parent = try openParent(names.dropLast(), of: text)
    try move(to: parent.number, leaf, named: text)
    return text
  }

  /// The directory that it was in, made where it is gone. The name was canonical: a link in it was put there since, maybe by
  /// the agent, so that we write where it may not.
  private func openParent(
    _ names: ArraySlice<PathText>, of path: String
  ) throws(CommandFailure) -> FileDescriptor {
    let opened = openOrMakeDirectory(names, mode: 0o777)
    if opened >= 0 { return FileDescriptor(owning: Int32(opened)) }
    let errno = Int32(truncatingIfNeeded: -opened)
    if errno == ENOTDIR || errno == ELOOP {
      throw CommandFailure(
        "a directory of \(path) is a link or a file now",
        hint: "look at it, then agentsh trash restore \(id) --to PATH")
    }
    throw CommandFailure("the directory of \(path) cannot be had: \(errnoText(errno))")
  }

  private func move(to directory: Int32, _ name: PathText, named path: String) throws(CommandFailure) {
    let noReplace: UInt32 = 1
    let moved = renameAt2(AT_FDCWD, PathText(file), directory, name, flags: noReplace)
    switch Int32(truncatingIfNeeded: -moved) {
    case 0: _ = unlinkAt(AT_FDCWD, PathText(note), flags: 0)
    case EEXIST:
      throw CommandFailure(
        "\(path) is there already", hint: "move it away, or agentsh trash restore \(id) --to PATH")
    case EXDEV:
      throw CommandFailure(
        "\(path) lies on another file system than the trash", hint: "cp -a \(file) PATH, then purge it")
    case let errno: throw CommandFailure("\(id) cannot be moved to \(path): \(errnoText(errno))")
    }
  }

  /// Deletes it for good.
  func purge() throws(CommandFailure) {
    for path in [file, note] {
      let result = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
      guard result == 0 || result == -Int(ENOENT) else {
        throw CommandFailure("\(path) cannot be deleted: \(errnoText(Int32(truncatingIfNeeded: -result)))")
      }
    }
  }
}
