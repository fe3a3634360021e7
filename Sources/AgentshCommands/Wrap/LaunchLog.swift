import AgentshClient
import AgentshWire
import CLinux
import LinuxSystem

/// What the launcher says about itself: a memory file, as nobody may be there to read a pipe after the hand-over, and
/// the agent's stderr is not ours. `memfd_create(2)`.
struct LaunchLog: ~Copyable {
  private static let limit = 16 * 1024
  private static let prefix = "agentsh-launch: "
  private let file: FileDescriptor
  var number: Int32 { file.number }

  init() throws(CommandFailure) {
    do throws(SystemCallError) { file = try memoryFile("agentsh-launch") } catch {
      throw CommandFailure(code: ExitStatus.notWrapped, "\(error)")
    }
  }

  /// Leaves it open.
  consuming func release() -> Int32 { file.release() }

  /// Its lines so far, without the launcher's name.
  var lines: [String] {
    var buffer = [UInt8](repeating: 0, count: Self.limit)
    let number = file.number
    // SAFETY: the kernel writes at most the buffer's size. From offset 0: the offset is shared with the launcher.
    let count = unsafe buffer.withUnsafeMutableBytes {
      rawCall(Int(SYS_pread64), Int(number), kernelAddress($0.baseAddress), $0.count, 0)
    }
    guard count > 0 else { return [] }
    return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map { line in
      String(line.hasPrefix(Self.prefix) ? line.dropFirst(Self.prefix.utf8.count) : line)
    }
  }

  /// What `--allow-degraded` let pass.
  var degraded: [String] {
    lines.filter { $0.hasPrefix("degraded: ") }.map { String($0.dropFirst("degraded: ".utf8.count)) }
  }

  /// Why the launcher did not become the command; nil when it said no such thing.
  var lastFailure: String? {
    lines.last { line in LaunchFailure.allCases.contains { line.hasPrefix($0.sentence) } }
  }

  /// The launcher ended, and the command never ran.
  func failure(status: Int32) -> CommandFailure {
    let end = LaunchEnd(
      code: clinux_wexitstatus(status),
      signal: clinux_wifsignaled(status) != 0 ? clinux_wtermsig(status) : nil, lastLine: lines.last,
      ownFailure: ExitStatus.notWrapped)
    return CommandFailure(code: end.code, end.message, hint: end.hint)
  }
}
