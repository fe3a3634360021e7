/// Strings as `execve(2)` wants them: NUL-terminated bytes and a NULL-terminated table of pointers, alive as long as
/// this value.
@safe package struct CStringTable: ~Copyable {
  private let bytes: UnsafeMutablePointer<CChar>
  private let table: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

  /// A string ends at its first NUL, for that is how the kernel reads it.
  package init(_ strings: [[UInt8]]) {
    let size = strings.reduce(0) { $0 + $1.count + 1 }
    // SAFETY: each byte and each entry is written below, within what was allocated.
    unsafe bytes = UnsafeMutablePointer<CChar>.allocate(capacity: max(size, 1))
    unsafe table = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
    var offset = 0
    for (index, string) in strings.enumerated() {
      unsafe (table + index).initialize(to: bytes + offset)
      for byte in string {
        unsafe (bytes + offset).initialize(to: CChar(bitPattern: byte))
        offset += 1
      }
      unsafe (bytes + offset).initialize(to: 0)
      offset += 1
    }
    unsafe (table + strings.count).initialize(to: nil)
  }

  package init(_ strings: [String]) { self.init(strings.map { Array($0.utf8) }) }

  /// Valid while this value lives.
  package var pointer: UnsafePointer<UnsafeMutablePointer<CChar>?> { unsafe UnsafePointer(table) }

  /// The table, which nobody frees any more.
  package consuming func release() -> UnsafePointer<UnsafeMutablePointer<CChar>?> {
    let table = unsafe pointer
    discard self
    return unsafe table
  }

  deinit {
    // SAFETY: allocated in init; trivial contents.
    unsafe bytes.deallocate()
    unsafe table.deallocate()
  }
}
