import CLinux
import Synchronization

/// Holds a caller on this CPU while a descriptor is put into its table.
///
/// ADDFD wakes the caller, which does the rest itself, without the hint that SEND has; where another CPU is idle the
/// scheduler moves it there, and back for the answer: 60 to 100 µs an open instead of 20. So once a transfer took that
/// long, the next ones narrow the caller's affinity for their duration, which costs 3 µs, until one is tried without.
///
/// The caller waits in its call, so that nothing is started from the narrowed mask. `sched_setaffinity(2)`
package struct CallerCPU {
  /// Masks of 1,024 CPUs; where the kernel has more, it says EINVAL and nobody is held.
  private typealias Mask = InlineArray<16, UInt64>

  /// Nanoseconds from which a transfer is taken to have crossed CPUs.
  private static let slow: UInt64 = 20_000
  private static let heldInARow = 32
  private static let left = Atomic(0)

  /// What a thread has that nobody narrowed: the CPUs of this process's cpuset. Nil where this process is narrowed.
  private static let wide: Mask? = {
    guard let own = read(0), set(0, all), let most = read(0) else { return nil }
    if isSame(own, most) { return own }
    _ = set(0, own)
    return nil
  }()
  private static let all = Mask(repeating: .max)

  private let thread: Int32
  private var before: Mask?
  private var ours: Mask?
  private let narrowed: Mask
  private let started: UInt64

  /// Before ADDFD, or a call that is made in a traced caller. `withUs`: this thread waits meanwhile, and stays here, too.
  package init(holding thread: Int32, withUs: Bool = false) {
    self.thread = thread
    var only = Mask(repeating: 0)
    let cpu = Int(clinux_current_cpu())
    let word = cpu / 64
    if only.indices.contains(word) { only[word] = 1 << UInt64(cpu % 64) }
    narrowed = only
    let remaining = Self.left.load(ordering: .relaxed)
    guard remaining > 0 else {
      started = monotonicClock()
      return
    }
    started = 0
    Self.left.store(remaining - 1, ordering: .relaxed)
    guard only.indices.contains(word), let mask = Self.read(thread), mask[word] & only[word] != 0,
      !Self.isSame(mask, only),
      Self.set(thread, only)
    else { return }
    before = mask
    if withUs, let own = Self.wide ?? Self.read(0), !Self.isSame(own, only), Self.set(0, only) {
      ours = Self.wide == nil ? own : Self.all
    }
  }

  /// After ADDFD: gives the caller its mask back, unless somebody has set another meanwhile.
  package func release() {
    if let ours { _ = Self.set(0, ours) }
    if started != 0, monotonicClock() - started > Self.slow {
      Self.left.store(Self.heldInARow, ordering: .relaxed)
    }
    guard let before, let now = Self.read(thread), Self.isSame(now, narrowed) else { return }
    // A mask of all says "none of its own", so that the thread follows its cpuset as before.
    let isWide = Self.wide.map { Self.isSame($0, before) } ?? false
    _ = Self.set(thread, isWide ? Self.all : before)
  }

  private static func read(_ thread: Int32) -> Mask? {
    var mask = Mask(repeating: 0)
    // SAFETY: `mask` lives across the call, which writes no more than its size.
    let result = unsafe withUnsafeMutablePointer(to: &mask) {
      rawCall(Int(SYS_sched_getaffinity), Int(thread), MemoryLayout<Mask>.size, kernelAddress($0))
    }
    return result > 0 ? mask : nil
  }

  private static func set(_ thread: Int32, _ mask: Mask) -> Bool {
    // SAFETY: `mask` lives across the call.
    unsafe withUnsafePointer(to: mask) {
      rawCall(Int(SYS_sched_setaffinity), Int(thread), MemoryLayout<Mask>.size, kernelAddress($0))
    } == 0
  }

  private static func isSame(_ one: Mask, _ other: Mask) -> Bool {
    for index in one.indices where one[index] != other[index] { return false }
    return true
  }
}
