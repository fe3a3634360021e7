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

/// Whether fewer threads run or want to (on the whole machine, the calling one left out) than there are processors that
/// we may use. False where that cannot be read.
///
/// `/proc/loadavg`, `sched_getaffinity(2)`.
package func processorIsFree() -> Bool {
  var text = PathText()
  guard readWhole(AT_FDCWD, PathText("/proc/loadavg"), into: &text) > 0 else { return false }
  // "0.20 0.18 0.12 3/412 11206": of these, the number before the slash.
  let fields = text.text.split(separator: " ")
  guard fields.count > 3, let running = Int(fields[3].prefix { $0 != "/" }) else { return false }
  var mask = InlineArray<128, UInt64>(repeating: 0)
  // SAFETY: the kernel writes at most the bytes that it is told of.
  let size = unsafe withUnsafeMutablePointer(to: &mask) {
    rawCall(Int(SYS_sched_getaffinity), 0, 128 * 8, kernelAddress($0))
  }
  guard size > 0 else { return false }
  var processors = 0
  for index in mask.indices { processors += mask[index].nonzeroBitCount }
  return running - 1 < processors
}
