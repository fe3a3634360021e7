import CLinux

/// One raw system call on the kernel's own terms: a value, or `-errno`. Nothing is retried.
///
/// Pointers travel as their bit patterns; the caller keeps what they point to alive. `syscall(2)`.
@inline(__always) @discardableResult
package func rawCall(
  _ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: Int = 0
) -> Int {
  clinux_syscall(number, a, b, c, d, e, f)
}

/// The address of memory that a raw call reads or writes; nil is 0. The only way to make one: `Int(bitPattern:)` hides
/// from the optimiser that the memory changes.
@inline(__always)
@safe package func kernelAddress(_ pointer: UnsafeRawPointer?) -> Int { unsafe clinux_address(pointer) }

/// Turns `-errno` into a thrown error that names the call.
@inline(__always) @discardableResult
package func check(_ call: StaticName, _ result: Int) throws(SystemCallError) -> Int {
  if result < 0 { throw SystemCallError(call, Int32(truncatingIfNeeded: -result)) }
  return result
}

/// The one EINTR loop. `signal(7)`.
@inline(__always)
package func retryingInterrupt(_ body: () -> Int) -> Int {
  while true {
    let result = body()
    if result != -Int(EINTR) { return result }
  }
}
