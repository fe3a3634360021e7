import AgentshWire
import CLinux
import LinuxSystem

/// Which descriptors the command gets: 0 to 2, and those that are to be kept.
struct Descriptors {
  private static let keptLimit = 64
  let kept: [Int32]

  /// Those kept must be open and no directories, from which every path below could be reached without its rule.
  init(keeping kept: [Int32]) throws(LaunchError) {
    for number in kept { try Self.inspect(number) }
    guard kept.count <= Self.keptLimit else {
      throw LaunchError(.badKeptDescriptor, "more than \(Self.keptLimit)")
    }
    self.kept = kept
  }

  private static func inspect(_ number: Int32) throws(LaunchError) {
    var status = stat()
    // SAFETY: `status` lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &status) {
      rawCall(SystemCall.fstat, Int(number), kernelAddress($0))
    }
    _ = try LaunchError.step(.badKeptDescriptor) { () throws(SystemCallError) in try check("fstat", result) }
    guard status.st_mode & 0o170000 != 0o040000 else {
      throw LaunchError(.badKeptDescriptor, "\(number) is a directory")
    }
  }

  /// Closes all others. `log` stays for what execve may say, and closes when that succeeds.
  ///
  /// `close_range(2)`, since Linux 5.9.
  func closeOthers(log: Int32?) throws(SystemCallError) {
    let log = log.flatMap { $0 > 2 ? $0 : nil }
    if let log { try Self.closeOnExec(log) }
    var first = 3
    // One that comes twice has nothing before it.
    for number in (kept + (log.map { [$0] } ?? [])).sorted() where Int(number) >= first {
      if Int(number) > first { try Self.close(first, Int(number) - 1) }
      first = Int(number) + 1
    }
    try Self.close(first, Int(UInt32.max))
  }

  static func closeOnExec(_ number: Int32) throws(SystemCallError) {
    try check("fcntl", rawCall(SystemCall.fcntl, Int(number), Int(F_SETFD), Int(FD_CLOEXEC)))
  }

  private static func close(_ first: Int, _ last: Int) throws(SystemCallError) {
    try check("close_range", rawCall(SystemCall.closeRange, first, last, 0))
  }
}
