import CLinux
import Glibc

/// A thread of our own for a loop that blocks. Never the cooperative pool: that has as many threads as the machine
/// has processors. All signals are blocked in it. Stack 256 KiB.
///
/// `pthread_create(3)`.
package enum NamedThread {
  /// Starts a detached thread. `name` is cut to 15 bytes. Throws EAGAIN when the limit of threads is reached.
  package static func start(_ name: StaticString, _ body: @escaping @Sendable () -> Void)
    throws(SystemCallError)
  {
    var attributes = pthread_attr_t()
    // SAFETY: initialised here, destroyed below.
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setstacksize(&attributes, 256 * 1024)
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
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
