import AgentshWire
import LinuxSystem

/// A step that failed, and what the kernel said about it.
struct LaunchError: Error {
  let failure: LaunchFailure
  let detail: String

  init(_ failure: LaunchFailure, _ detail: String) {
    self.failure = failure
    self.detail = detail
  }
  init(_ failure: LaunchFailure, _ error: SystemCallError) { self.init(failure, error.description) }

  /// Runs a step; a system call that fails in it becomes this failure.
  static func step<T: ~Copyable>(
    _ failure: LaunchFailure, _ body: () throws(SystemCallError) -> T
  ) throws(LaunchError) -> T {
    do { return try body() } catch { throw LaunchError(failure, error) }
  }
}

/// Where diagnostics go: `AGENTSH_WRAPPER_LOG_FD`, else nowhere. The agent's stderr is never ours; only a wrong command
/// line, typed by a person, is answered there.
struct Diagnostics {
  let descriptor: Int32?

  func report(_ error: LaunchError) {
    let detail = error.detail.isEmpty ? "" : ": " + error.detail
    write(error.failure.sentence + detail, to: descriptor ?? (error.failure == .usage ? 2 : nil))
  }

  func note(_ text: String) { write(text, to: descriptor) }

  private func write(_ text: String, to descriptor: Int32?) {
    guard let descriptor else { return }
    let bytes = Array("agentsh-launch: \(text)\n".utf8)
    // SAFETY: the kernel reads `bytes` during the call.
    unsafe bytes.withUnsafeBufferPointer {
      _ = rawCall(SystemCall.write, Int(descriptor), kernelAddress($0.baseAddress), $0.count)
    }
  }
}
