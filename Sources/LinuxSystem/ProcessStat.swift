import CLinux

/// What /proc/TID/stat says of one thread, read at once. `proc_pid_stat(5)`
package struct ProcessStat {
  /// From the third on: the name before may have anything in it.
  private let fields: [ArraySlice<UInt8>]

  /// Throws ESRCH, or ENOENT, when the thread is gone.
  package init(reading thread: Int32) throws(SystemCallError) {
    var text = PathText()
    let count = readWhole(AT_FDCWD, PathText("/proc/\(thread)/stat"), into: &text)
    let bytes = Array(text.bytes)
    guard count > 0, let close = bytes.lastIndex(of: UInt8(ascii: ")")) else {
      throw SystemCallError("read", count < 0 ? Int32(truncatingIfNeeded: -count) : ESRCH)
    }
    fields = bytes[(close + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
  }

  /// The letter of the state.
  package var state: UInt8? { fields.first?.first }

  /// A field by its number in the manual, from 4 on.
  package func number(_ field: Int) -> Int64? {
    guard fields.indices.contains(field - 3) else { return nil }
    return Int64(String(decoding: fields[field - 3], as: UTF8.self))
  }
}
