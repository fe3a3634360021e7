import CLinux

/// The environment as it was inherited: bytes, not text, as a name or value need not be UTF-8.
///
/// `environ(7)`. The strings live as long as the process.
struct Environment {
  /// Variables that are the launcher's own; the command does not get them.
  static let own = [
    "AGENTSH_LAUNCH_PLAN", "AGENTSH_NOTIFY_SOCK_FD", "AGENTSH_SIGNAL_SOCK_FD", "AGENTSH_WRAPPER_LOG_FD",
    "AGENTSH_KEEP_FDS",
  ]

  /// The first value of that name; nil when there is none, or it is no UTF-8.
  func value(_ name: String) -> String? {
    bytes(name).flatMap { String(validating: $0, as: UTF8.self) }
  }

  func bytes(_ name: String) -> [UInt8]? {
    // SAFETY: `environ` is a NULL-terminated array of NUL-terminated strings that nobody changes.
    guard var next = unsafe clinux_environ() else { return nil }
    while let entry = unsafe next.pointee {
      if let value = unsafe Self.match(entry, name) { return value }
      unsafe next += 1
    }
    return nil
  }

  /// A decimal number from 0 on, without sign or space.
  func number(_ name: String) -> Int32? {
    guard let text = value(name), text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    return Int32(text)
  }

  /// Everything but the launcher's own, NULL-terminated, for execve. Never freed: the process becomes another.
  func forCommand() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
    let environment = unsafe clinux_environ()
    var all = 0
    // SAFETY: as in `bytes`. One place more than there are entries; each that is used is written once.
    while let _ = unsafe environment?[all] { all += 1 }
    let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: all + 1)
    var count = 0
    for index in 0..<all {
      guard let entry = unsafe environment?[index] else { break }
      if Self.own.contains(where: { unsafe Self.match(entry, $0) != nil }) { continue }
      unsafe (list + count).initialize(to: entry)
      count += 1
    }
    unsafe (list + count).initialize(to: nil)
    return unsafe list
  }

  /// The value in `NAME=value` when that is the name.
  private static func match(_ entry: UnsafePointer<CChar>, _ name: String) -> [UInt8]? {
    // SAFETY: reads up to the NUL that ends the entry: a mismatch stops at it.
    var at = unsafe entry
    for byte in name.utf8 {
      guard unsafe UInt8(bitPattern: at.pointee) == byte else { return nil }
      unsafe at += 1
    }
    guard unsafe at.pointee == CChar(bitPattern: UInt8(ascii: "=")) else { return nil }
    return unsafe cStringBytes(at + 1)
  }
}

/// The bytes of a NUL-terminated string, without the NUL.
func cStringBytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
  // SAFETY: the caller's string ends with NUL.
  unsafe UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
}
