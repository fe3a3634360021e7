import CLinux

/// The value of the first `NAME=value` of that name in a NULL-terminated table of NUL-terminated strings; nil when there is
/// none. Bytes, not text: a value need not be UTF-8. `environ(7)`.
package func value(named name: String, in table: Launch.Strings) -> [UInt8]? {
  // SAFETY: read up to the NULL that ends the table.
  var next = unsafe table
  while let entry = unsafe next.pointee {
    if let value = unsafe value(named: name, of: entry) { return value }
    unsafe next += 1
  }
  return nil
}

/// The value in `NAME=value` when that is the name.
package func value(named name: String, of entry: UnsafePointer<CChar>) -> [UInt8]? {
  // SAFETY: reads up to the NUL that ends the entry: a mismatch stops at it.
  var at = unsafe entry
  for byte in name.utf8 {
    guard unsafe UInt8(bitPattern: at.pointee) == byte else { return nil }
    unsafe at += 1
  }
  guard unsafe at.pointee == CChar(bitPattern: UInt8(ascii: "=")) else { return nil }
  return unsafe bytes(of: at + 1)
}

/// The bytes of a NUL-terminated string, without the NUL.
package func bytes(of text: UnsafePointer<CChar>) -> [UInt8] {
  // SAFETY: the caller's string ends with NUL.
  unsafe UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
}
