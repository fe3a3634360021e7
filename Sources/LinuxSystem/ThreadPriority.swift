import CLinux

/// Gives the calling thread the least share (nice 19) and lets it push nobody aside (SCHED_BATCH); for good. What the
/// kernel does not grant stays as it was.
///
/// `setpriority(2)`, `sched_setscheduler(2)`.
package func lowerThreadPriority() {
  // PRIO_PROCESS and 0: on Linux, this thread.
  rawCall(Int(SYS_setpriority), 0, 0, 19)
  var parameter = Int32(0)
  // SAFETY: a `sched_param` is one number; it lives across the call. SCHED_BATCH is 3.
  unsafe withUnsafePointer(to: &parameter) { parameter in
    _ = rawCall(Int(SYS_sched_setscheduler), 0, 3, kernelAddress(parameter))
  }
}
