import CLinux
import Synchronization

/// A counter that threads can wait on until it changes.
///
/// `futex(2)`, FUTEX_WAIT and FUTEX_WAKE, private.
@safe
package final class FutexWord: Sendable {
  // SAFETY: allocated once, initialised, never freed before the object; only atomic operations and the kernel touch it.
  private nonisolated(unsafe) let word: UnsafeMutablePointer<Atomic<UInt32>>

  package init() {
    unsafe word = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: 1)
    unsafe word.initialize(to: Atomic<UInt32>(0))
  }

  deinit {
    unsafe word.deinitialize(count: 1)
    unsafe word.deallocate()
  }

  package var value: UInt32 { unsafe word.pointee.load(ordering: .acquiring) }

  /// Waits until the value is no longer `seen`, or a signal comes, or the time is over. May return early.
  package func wait(while seen: UInt32, milliseconds: Int? = nil) {
    var limit = timespec()
    if let milliseconds {
      limit.tv_sec = milliseconds / 1000
      limit.tv_nsec = milliseconds % 1000 * 1_000_000
    }
    // SAFETY: `limit` lives across the call; the word lives as long as self.
    unsafe withUnsafePointer(to: &limit) { limit in
      unsafe _ = rawCall(
        Int(SYS_futex), kernelAddress(word), 0 | 128, Int(seen),
        milliseconds == nil ? 0 : kernelAddress(limit))
    }
  }

  /// Changes the value and wakes one waiter.
  package func wakeOne() { wake(1) }

  /// Changes the value and wakes all waiters.
  package func wakeAll() { wake(Int(Int32.max)) }

  private func wake(_ count: Int) {
    unsafe word.pointee.add(1, ordering: .acquiringAndReleasing)
    unsafe _ = rawCall(Int(SYS_futex), kernelAddress(word), 1 | 128, count)
  }
}
