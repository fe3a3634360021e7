package import AgentshClient
import AgentshLauncher
import CLinux
import LinuxSystem

/// What this process was started with, as bytes: an environment or an argument need not be UTF-8.
package struct ProcessContext: Sendable, Equatable {
  /// argv, with the program's name.
  package let arguments: [[UInt8]]
  /// `NAME=value` entries, in order.
  package let environment: [[UInt8]]
  /// Absolute.
  package let directory: String

  package init(arguments: [[UInt8]], environment: [[UInt8]], directory: String) {
    self.arguments = arguments
    self.environment = environment
    self.directory = directory
  }

  package static func current() throws(CommandFailure) -> ProcessContext {
    var path = PathText()
    let length = path.fill(capacity: PathText.limit) { rawCall(Int(SYS_getcwd), $0, PathText.limit) }
    // A directory that is not below our root is told with "(unreachable)" before it.
    guard length > 0, path.cutAtNul(), path.starts(with: "/") else {
      throw CommandFailure("the current directory cannot be named: \(errnoText(Int32(max(0, -length))))")
    }
    // SAFETY: both are NULL-terminated tables of NUL-terminated strings that nobody changes.
    return unsafe ProcessContext(
      arguments: strings(CommandLine.unsafeArgv), environment: strings(clinux_environ()), directory: path.text
    )
  }

  /// The first value of that name; nil when there is none or it is not UTF-8.
  package func value(of name: String) -> String? {
    let prefix = Array((name + "=").utf8)
    guard let entry = environment.first(where: { $0.starts(with: prefix) }) else { return nil }
    return try? String(copying: UTF8Span(validating: entry.span.extracting(prefix.count...)))
  }

  /// Relative paths are below the current directory. Nothing is resolved.
  package func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    return (directory == "/" ? "" : directory) + "/" + path
  }

  /// With paths made absolute.
  func daemonOptions(socket: String?, config: String? = nil, start: Bool) -> Daemon.Options {
    var options = Daemon.Options()
    options.socket = socket.map(absolute)
    options.config = config.map(absolute)
    options.start = start
    return options
  }

  /// Finds the daemon of this process.
  package func daemon() throws(ClientError) -> Daemon { try .current { self.value(of: $0) } }
}

private func strings(_ table: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> [[UInt8]] {
  var result: [[UInt8]] = []
  guard var next = unsafe table else { return [] }
  // SAFETY: the table ends with NULL, each string with NUL.
  while let string = unsafe next.pointee {
    result.append(unsafe bytes(of: string))
    unsafe next += 1
  }
  return result
}
