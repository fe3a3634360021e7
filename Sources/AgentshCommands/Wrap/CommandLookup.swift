import CLinux
import LinuxSystem

/// Which file a command means, as a shell finds it: with a slash itself, else the first that may be executed in PATH.
package struct CommandLookup {
  /// PATH as the kernel's C library has it where the variable is not set.
  package static let defaultPath = "/usr/local/bin:/usr/bin:/bin"
  package let searchPath: String
  /// What relative names are below.
  package let directory: String

  package init(searchPath: String?, directory: String) {
    self.searchPath = searchPath ?? Self.defaultPath
    self.directory = directory
  }

  /// The absolute path, links not resolved (the policy sees both names). Throws with 127, or 126 when what is there cannot
  /// be executed.
  package func resolve(_ command: String) throws(CommandFailure) -> String {
    guard !command.isEmpty else { throw CommandFailure(code: ExitStatus.notFound, "the command is empty") }
    var refused: CommandFailure?
    for candidate in candidates(command) {
      switch Self.problem(with: candidate) {
      case nil: return candidate
      case .some(ENOENT), .some(ENOTDIR): continue
      case .some(let errno):
        let reason = errno == EISDIR ? "is a directory" : "cannot be executed (\(errnoText(errno)))"
        refused = refused ?? CommandFailure(code: ExitStatus.denied, "\(candidate) \(reason)")
      }
    }
    if let refused { throw refused }
    throw CommandFailure(
      code: ExitStatus.notFound, "\(command): command not found",
      hint: Self.isPath(command) ? nil : "looked in PATH: \(searchPath)")
  }

  /// Whether it is not looked up in PATH.
  static func isPath(_ command: String) -> Bool { command.utf8.contains(UInt8(ascii: "/")) }

  private func candidates(_ command: String) -> [String] {
    if Self.isPath(command) { return [absolute(command)] }
    return searchPath.split(separator: ":", omittingEmptySubsequences: false).map { entry in
      absolute(entry.isEmpty ? command : entry + "/" + command)
    }
  }

  private func absolute(_ path: String) -> String {
    path.hasPrefix("/") ? path : (directory == "/" ? "" : directory) + "/" + path
  }

  /// nil for a regular file that may be executed, else an errno.
  private static func problem(with path: String) -> Int32? {
    let name = PathText(path)
    guard !name.isTooLong, !path.utf8.contains(0) else { return ENOENT }
    let usable = name.withAddress { rawCall(Int(SYS_faccessat), Int(AT_FDCWD), $0, Int(X_OK)) }
    guard let type = ownerAndType(path)?.type else {
      return usable < 0 ? Int32(truncatingIfNeeded: -usable) : ENOENT
    }
    if type == .directory { return EISDIR }
    if type != .regular { return EACCES }
    return usable < 0 ? Int32(truncatingIfNeeded: -usable) : nil
  }
}
