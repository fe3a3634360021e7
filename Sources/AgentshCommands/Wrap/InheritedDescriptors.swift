import AgentshClient
import CLinux
import LinuxSystem

/// Which of our own descriptors the command gets (DECISIONS 7): 0 to 2, those of make's job server, and those that
/// `--keep-fd` names. A descriptor is a right: what it reaches was decided when it was opened, not by the policy.
package struct InheritedDescriptors: Sendable, Equatable {
  /// Over 2, ascending.
  package let kept: [Int32]

  /// - Parameters:
  ///   - asked: the numbers that `--keep-fd` names; one that may not be kept is an error.
  ///   - makeFlags: MAKEFLAGS.
  package init(asked: [Int32], makeFlags: String?) throws(CommandFailure) {
    for number in asked {
      if let problem = Self.problem(with: number) {
        throw CommandFailure(code: ExitStatus.notWrapped, "--keep-fd \(number): \(problem)")
      }
    }
    // A recipe that is no submake gets MAKEFLAGS without the descriptors: then there is nothing to keep.
    let pipes = Self.jobServer(makeFlags ?? "").filter { ownerAndType(descriptor: $0)?.type == .fifo }
    kept = Set((asked + pipes).filter { $0 > 2 }).sorted()
  }

  /// Why a descriptor may not be handed on; nil when it may.
  package static func problem(with number: Int32) -> String? {
    guard number >= 0, let type = ownerAndType(descriptor: number)?.type else { return "it is not open" }
    if number <= 2 { return nil }
    switch type {
    case .directory: return "a directory reaches everything below it without a rule"
    case .socket where isUnixConnection(number):
      return "a connection on a Unix socket carries who we are, and may carry more descriptors"
    default: return nil
    }
  }

  /// `--jobserver-auth=R,W` (also the older `--jobserver-fds`): the pipe's two ends. `fifo:PATH` needs none: the command
  /// opens it by its name.
  package static func jobServer(_ makeFlags: String) -> [Int32] {
    var result: [Int32] = []
    for word in makeFlags.split(separator: " ") {
      for option in ["--jobserver-auth=", "--jobserver-fds="] where word.hasPrefix(option) {
        let numbers = word.dropFirst(option.utf8.count).split(separator: ",").map { Int32($0) }
        guard numbers.count == 2, let read = numbers[0], let write = numbers[1], read > 2, write > 2 else {
          continue
        }
        // The last one counts, as in make.
        result = [read, write]
      }
    }
    return result
  }

  private static func isUnixConnection(_ number: Int32) -> Bool {
    // Not known counts as one.
    guard let domain = socketOption(number, SO_DOMAIN), let type = socketOption(number, SO_TYPE) else {
      return true
    }
    return domain == AF_UNIX && type != Int32(SOCK_DGRAM.rawValue)
  }
}

/// `getsockopt(2)` for a number at SOL_SOCKET.
private func socketOption(_ descriptor: Int32, _ option: Int32) -> Int32? {
  var value: Int32 = 0
  var length = UInt32(MemoryLayout<Int32>.size)
  // SAFETY: both live across the call.
  let result = unsafe withUnsafeMutablePointer(to: &value) { value in
    unsafe withUnsafeMutablePointer(to: &length) { length in
      rawCall(
        Int(SYS_getsockopt), Int(descriptor), Int(SOL_SOCKET), Int(option), kernelAddress(value),
        kernelAddress(length))
    }
  }
  return result == 0 ? value : nil
}
