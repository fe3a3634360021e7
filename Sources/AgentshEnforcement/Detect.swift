import AgentshEvent
import CLinux
import Cgroup
import Landlock
import LinuxSystem

/// What one mechanism can do on this machine, as this user, found by using it.
package struct MechanismStatus: Equatable, Sendable {
  /// Stable, lower case with underscores.
  package let name: String
  package let available: Bool
  /// For the person: what was tried and what came of it.
  package let detail: String

  init(_ name: String, _ available: Bool, _ detail: String) {
    self.name = name
    self.available = available
    self.detail = detail
  }

  init(_ name: String, _ enforcement: Enforcement) {
    self.name = name
    switch enforcement {
    case .enforced: (available, detail) = (true, "enforced")
    case .partial(let reason): (available, detail) = (true, reason)
    case .absent(let reason): (available, detail) = (false, reason)
    }
  }
}

/// Tries every mechanism in throw-away children of this process and says what works. Takes some milliseconds, a few
/// seconds where something hangs. For a program without threads of its own: `agentsh-supervisor --detect`.
package func detectMechanisms() -> [MechanismStatus] {
  NotificationProbe.run() + landlockStatus() + [
    threadHandleStatus(), peerHandleStatus(), cgroupStatus(), namespaceStatus(), procStatus(), yamaStatus(),
  ]
}

/// The statuses, one JSON object with `name`, `available` and `detail` a line. RFC 8259.
package func mechanismReport(_ statuses: [MechanismStatus]) -> [UInt8] {
  var bytes: [UInt8] = []
  for status in statuses {
    var object = JSONText()
    object.begin()
    object.field("name", status.name)
    object.field("available", status.available)
    object.field("detail", status.detail)
    object.end()
    bytes += object.bytes
    bytes.append(0x0A)
  }
  return bytes
}

/// `agentsh-supervisor --detect`: writes the report. Returns the exit status: 0, or 1 when it could not be written.
package func reportMechanisms(to descriptor: Int32) -> Int32 {
  var rest = mechanismReport(detectMechanisms())[...]
  while !rest.isEmpty {
    // SAFETY: the kernel reads the buffer during the call.
    let written = unsafe rest.withUnsafeBufferPointer { buffer in
      let size = buffer.count
      let address = kernelAddress(buffer.baseAddress)
      return retryingInterrupt { rawCall(Int(SYS_write), Int(descriptor), address, size) }
    }
    guard written > 0 else { return 1 }
    rest = rest.dropFirst(written)
  }
  return 0
}
