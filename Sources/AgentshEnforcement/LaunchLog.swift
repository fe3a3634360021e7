import CLinux
import LinuxSystem

/// What the launcher wrote to its memory file: what it could not enforce, or why it ended without becoming the agent.
struct LaunchLog {
  private let descriptor: Int32?
  private static let limit = 65_536

  init(_ descriptor: Int32?) { self.descriptor = descriptor }

  /// The lines so far, without the launcher's name before them.
  var lines: [String] {
    guard let descriptor else { return [] }
    var text = PathText()
    var all: [UInt8] = []
    while all.count < Self.limit {
      let got = text.fill(capacity: PathText.limit) {
        rawCall(Int(SYS_pread64), Int(descriptor), $0, PathText.limit, all.count)
      }
      guard got > 0 else { break }
      all.append(contentsOf: text.bytes)
    }
    let prefix = "agentsh-launch: "
    return String(decoding: all, as: UTF8.self).split(separator: "\n").map {
      $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : String($0)
    }
  }

  /// What is not enforced although the policy would want it (`--allow-degraded`).
  var degraded: [String] {
    let mark = "degraded: "
    return lines.filter { $0.hasPrefix(mark) }.map { String($0.dropFirst(mark.count)) }
  }

  /// Why the command was not run; empty once it was.
  var failures: [String] { lines.filter { !$0.hasPrefix("degraded: ") } }
}
