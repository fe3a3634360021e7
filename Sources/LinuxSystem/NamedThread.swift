import CLinux
import Glibc

/// A thread of our own for a loop that blocks. Never the cooperative pool: that has as many threads as the machine
/// has processors. All signals are blocked in it. Stack 256 KiB.
///
/// `pthread_create(3)`.
package enum NamedThread {
  /// Starts a detached thread. `name` is cut to 15 bytes. Throws EAGAIN when the limit of threads is reached.
  /// `besideUs`: for good on another processor than this one, where we may use another; left to itself the scheduler often has
  /// a new thread wait for its maker's processor while another is idle.
  package static func start(
    _ name: StaticString, besideUs: Bool = false, _ body: @escaping @Sendable () -> Void
  ) throws(SystemCallError) {
    var attributes = pthread_attr_t()
    // SAFETY: initialised here, destroyed below.
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setstacksize(&attributes, 256 * 1024)
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    if besideUs { place(&attributes) }
    let box = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    var thread = pthread_t()
    var all = sigset_t()
    var old = sigset_t()
    // SAFETY: sets live across the calls. The new thread inherits the full mask.
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &old)
    // SAFETY: the box is consumed once, by the thread or, when there is none, below.
    let result = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    unsafe pthread_sigmask(SIG_SETMASK, &old, nil)
    if result != 0 {
      unsafe box.release()
      throw SystemCallError("pthread_create", result)
    }
  }

  /// `pthread_attr_setaffinity_np(3)`
  private static func place(_ attributes: inout pthread_attr_t) {
    var processors = cpu_set_t()
    let size = MemoryLayout<cpu_set_t>.size
    // SAFETY: the set lives across the calls and has the size that they are told.
    let got = unsafe withUnsafeMutablePointer(to: &processors) {
      rawCall(Int(SYS_sched_getaffinity), 0, size, kernelAddress($0))
    }
    guard got > 0 else { return }
    let ours = Int(clinux_current_cpu())
    let isAnother = unsafe withUnsafeMutableBytes(of: &processors) { bytes in
      if ours / 8 < size { unsafe bytes[ours / 8] &= ~(1 << UInt8(ours % 8)) }
      return unsafe bytes.contains { $0 != 0 }
    }
    if isAnother { unsafe pthread_attr_setaffinity_np(&attributes, size, &processors) }
  }

  private final class Start {
    let name: StaticString
    let body: @Sendable () -> Void
    init(name: StaticString, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
    func run() {
      NamedThread.rename(name)
      body()
    }
  }

  /// Names the calling thread. `prctl(2)`, PR_SET_NAME
  static func rename(_ name: StaticString) {
    // SAFETY: a StaticString's bytes live for ever.
    unsafe _ = rawCall(Int(SYS_prctl), Int(PR_SET_NAME), kernelAddress(name.utf8Start))
  }
}
