package import AgentshWire
import LinuxSystem

/// A step that failed, and what the kernel said about it.
package struct LaunchError: Error {
  package let failure: LaunchFailure
  let detail: String

  package init(_ failure: LaunchFailure, _ detail: String) {
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

/// Where diagnostics go. The agent's stderr is never ours.
package struct Diagnostics {
  let descriptor: Int32?

  /// - Parameter descriptor: nil: nowhere.
  package init(descriptor: Int32?) { self.descriptor = descriptor }

  package func report(_ error: LaunchError) {
    note(error.failure.sentence + (error.detail.isEmpty ? "" : ": " + error.detail))
  }

  func note(_ text: String) {
    guard let descriptor else { return }
    let bytes = Array("agentsh-launch: \(text)\n".utf8)
    // SAFETY: the kernel reads `bytes` during the call.
    unsafe bytes.withUnsafeBufferPointer {
      _ = rawCall(SystemCall.write, Int(descriptor), kernelAddress($0.baseAddress), $0.count)
    }
  }
}
