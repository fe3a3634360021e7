import AgentshSession
import AgentshWire
import CLinux
import LinuxSystem

/// The records of running launches in the state directory: one file each, 0600, named after the launch.
struct LaunchRecords: Sendable {
  let directory: String

  /// Nothing larger is read back: a policy with a lot of rules, and room.
  static let sizeLimit = 1 << 25

  /// Whether there is room for a record, and some events beside it: a file is written and removed again. Throws ENOSPC,
  /// EDQUOT, EROFS.
  func proveRoom() throws(SystemCallError) {
    let path = "\(directory)/\(LaunchID.random()).room"
    defer { _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0) }
    _ = try write([UInt8](repeating: 0, count: Self.room), to: path)
  }

  private static let room = 16 << 10

  /// A whole file when it returns, none when it throws. It need not outlive the kernel, so nothing is forced to the
  /// disk: after a power failure no supervisor is left to come back. `rename(2)`
  func save(_ record: LaunchRecord) throws(SystemCallError) {
    var writer = WireWriter()
    writer.value(record)
    let path = file(record.id)
    let temporary = path + ".new"
    _ = unlinkAt(AT_FDCWD, PathText(temporary), flags: 0)
    do throws(SystemCallError) {
      _ = try write(writer.bytes, to: temporary)
      try check("rename", renameAt2(AT_FDCWD, PathText(temporary), AT_FDCWD, PathText(path), flags: 0))
    } catch {
      _ = unlinkAt(AT_FDCWD, PathText(temporary), flags: 0)
      throw error
    }
  }

  private func write(_ bytes: [UInt8], to path: String) throws(SystemCallError) -> FileDescriptor {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
    let opened = try check("open", openAt(AT_FDCWD, PathText(path), flags: flags, mode: 0o600))
    let file = FileDescriptor(owning: Int32(opened))
    try writeAll(bytes, to: file.number)
    return file
  }

  // MARK: control groups

  /// Where the group of a launch is, or is about to be. As `save`.
  func save(group name: String, of id: LaunchID) throws(SystemCallError) {
    let path = groupFile(id)
    _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
    _ = try write(Array(name.utf8), to: path)
  }

  func removeGroup(_ id: LaunchID) { _ = unlinkAt(AT_FDCWD, PathText(groupFile(id)), flags: 0) }

  /// nil where there was none, and for a file that is not whole: there the group was not made yet.
  func group(of id: LaunchID) -> String? {
    guard case .success(let bytes) = readAll(groupFile(id), limit: PathText.limit) else { return nil }
    let name = String(decoding: bytes, as: UTF8.self)
    return name.hasPrefix("/") && name.hasSuffix("/agentsh-\(id)") ? name : nil
  }

  /// The launches of which a group is recorded.
  var groups: [LaunchID] {
    directoryNames(directory).filter { $0.hasSuffix(Self.groupEnding) }
      .compactMap { UInt64($0.dropLast(Self.groupEnding.count), radix: 16) }.map(LaunchID.init(number:))
  }

  private static let groupEnding = ".group"
  private func groupFile(_ id: LaunchID) -> String { "\(directory)/\(id)\(Self.groupEnding)" }

  // MARK: -

  func remove(_ id: LaunchID) { _ = unlinkAt(AT_FDCWD, PathText(file(id)), flags: 0) }

  /// What an earlier daemon left; what cannot be read is named, not guessed at.
  func load() -> (records: [LaunchRecord], problems: [String]) {
    var records: [LaunchRecord] = []
    var problems: [String] = []
    for name in directoryNames(directory) where name.hasSuffix(".launch") {
      let path = directory + "/" + name
      switch readAll(path, limit: Self.sizeLimit) {
      case .failure(let error): problems.append("\(path): \(error)")
      // What a power failure left of it.
      case .success(let bytes) where bytes.isEmpty: _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
      case .success(let bytes):
        do throws(WireError) {
          var reader = WireReader(bytes)
          let record = try reader.value(LaunchRecord.self)
          try reader.finish()
          records.append(record)
        } catch { problems.append("\(path): \(error)") }
      }
    }
    return (records, problems)
  }

  private func file(_ id: LaunchID) -> String { "\(directory)/\(id).launch" }
}
