import CLinux
import LinuxSystem

/// Held by the one daemon of a runtime directory for as long as it lives. `flock(2)`
package final class DaemonLock: Sendable {
  private let file: FileDescriptor

  package enum Failure: Error, CustomStringConvertible {
    /// Another daemon has it.
    case held(path: String, pid: String)
    case failed(path: String, cause: String)

    package var description: String {
      switch self {
      case .held(let path, let pid):
        "another agentshd runs already (pid \(pid.isEmpty ? "unknown" : pid) holds \(path)); stop it with: agentsh server stop"
      case .failed(let path, let cause): "\(path): \(cause)"
      }
    }
  }

  /// Takes the lock, and writes our pid into the file. The lock goes with the last descriptor, so a crash leaves none
  /// behind.
  ///
  /// - Parameter waiting: asked while another daemon has it: pauses, and says whether to try again.
  package init(_ path: String, waiting: () -> Bool = { false }) throws(Failure) {
    while true {
      do throws(Failure) {
        file = FileDescriptor(owning: try Self.lock(path))
        return
      } catch {
        guard case .held = error, waiting() else { throw error }
      }
    }
  }

  private static func lock(_ path: String) throws(Failure) -> Int32 {
    do throws(SystemCallError) {
      let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW
      let file = FileDescriptor(
        owning: Int32(try check("open", openAt(AT_FDCWD, PathText(path), flags: flags, mode: 0o600))))
      // LOCK_EX | LOCK_NB
      try check("flock", retryingInterrupt { rawCall(Int(SYS_flock), Int(file.number), 2 | 4) })
      try check("ftruncate", truncateDescriptor(file.number, length: 0))
      try writeAll("\(currentProcess())\n", to: file.number)
      return file.release()
    } catch {
      if error.call == "flock", error.errno == EAGAIN { throw .held(path: path, pid: owner(path)) }
      throw .failed(path: path, cause: "\(error)")
    }
  }

  private static func owner(_ path: String) -> String {
    guard case .success(let bytes) = readAll(path, limit: 64) else { return "" }
    let digits = bytes.prefix { (0x30...0x39).contains($0) }
    return String(decoding: digits, as: UTF8.self)
  }
}

/// `write(2)` until all is written.
func writeAll(_ text: String, to file: Int32) throws(SystemCallError) {
  try writeAll(Array(text.utf8), to: file)
}

func writeAll(_ bytes: [UInt8], to file: Int32) throws(SystemCallError) {
  try check("write", writeAll(file, bytes))
}
