import AgentshWire
import CLinux
import LinuxSystem

/// Which file a command means: with a slash itself, else the first executable file of that name in PATH.
///
/// Without links being resolved: the kernel and the policy do that at execve. `execvp(3)`, without its run of scripts
/// that have no `#!`.
struct CommandLookup {
  /// As glibc has it where PATH is not set.
  private static let defaultPath = Array("/bin:/usr/bin".utf8)
  let searchPath: [UInt8]

  init(searchPath: [UInt8]?) { self.searchPath = searchPath ?? Self.defaultPath }

  /// A path for execve, NUL-terminated. Throws `notFound`, or `notExecutable` when files of the name cannot be run.
  func resolve(_ command: [UInt8]) throws(LaunchError) -> [UInt8] {
    var refusal: Int32?
    for candidate in candidates(command) {
      switch Self.problem(with: candidate) {
      case 0: return candidate
      case ENOENT, ENOTDIR: continue
      case let errno: refusal = refusal ?? errno
      }
    }
    let name = String(decoding: command, as: UTF8.self)
    if let refusal { throw LaunchError(.notExecutable, "\(name): \(errnoText(refusal))") }
    throw LaunchError(.notFound, name)
  }

  private func candidates(_ command: [UInt8]) -> [[UInt8]] {
    guard !command.isEmpty else { return [] }
    let slash = UInt8(ascii: "/")
    if command.contains(slash) { return [command + [0]] }
    return searchPath.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { directory in
      directory.isEmpty ? command + [0] : Array(directory) + [slash] + command + [0]
    }
  }

  /// 0 for a regular file that may be executed, else an errno.
  private static func problem(with path: [UInt8]) -> Int32 {
    var status = stat()
    // SAFETY: both live across the calls; the path ends with NUL.
    let results = unsafe path.withUnsafeBufferPointer { path in
      unsafe withUnsafeMutablePointer(to: &status) { status in
        let address = kernelAddress(path.baseAddress)
        let looked = rawCall(SystemCall.newfstatat, Int(AT_FDCWD), address, kernelAddress(status), 0)
        return (looked, rawCall(SystemCall.faccessat, Int(AT_FDCWD), address, Int(X_OK)))
      }
    }
    if results.0 < 0 { return Int32(truncatingIfNeeded: -results.0) }
    guard status.st_mode & 0o170000 == 0o100000 else {
      return status.st_mode & 0o170000 == 0o040000 ? EISDIR : EACCES
    }
    return Int32(truncatingIfNeeded: -results.1)
  }
}
