import Synchronization
import CLinux

/// Where calls are answered that no listener has: those that a tracer stopped. One for the process, set before the first.
package struct CallPort: Sendable {
  /// In place of a listener's descriptor.
  package static let number: Int32 = -2
  /// Whether the call still waits.
  let waits: @Sendable (UInt64) -> Bool
  /// Its value, or -errno; nil: the kernel makes it as it stands. False when the caller is gone.
  let answer: @Sendable (UInt64, Int64?) -> Bool
  /// Puts the descriptor, which is its own from here on, into the caller's table. Returns the errno, 0 when done.
  let give: @Sendable (UInt64, Int32, Bool) -> Int32

  package init(
    waits: @escaping @Sendable (UInt64) -> Bool, answer: @escaping @Sendable (UInt64, Int64?) -> Bool,
    give: @escaping @Sendable (UInt64, Int32, Bool) -> Int32
  ) {
    self.waits = waits
    self.answer = answer
    self.give = give
  }

  private static let place = Mutex<CallPort?>(nil)
  package static func open(_ port: CallPort) { place.withLock { $0 = port } }

  static var current: CallPort {
    place.withLock { $0 }
      ?? CallPort(waits: { _ in false }, answer: { _, _ in false }, give: { _, _, _ in EPERM })
  }
}

/// Whether the call that `id` names still waits at `listener`.
package func callWaits(_ id: UInt64, at listener: Int32) -> Bool {
  listener == CallPort.number ? CallPort.current.waits(id) : clinux_notif_id_valid(listener, id) == 0
}
