import CLinux
import LinuxSystem

/// What /proc/TID/status says of one thread, read at once. `proc_pid_status(5)`.
package struct ThreadStatus: Sendable {
  package var process: Int32 = 0
  package var parent: Int32 = 0
  package var threads: Int32 = 0
  package var mask: UInt32 = 0o022
  package var fsUID: UInt32 = .max
  package var fsGID: UInt32 = .max
  package var effectiveUID: UInt32 = .max
  package var groups: [UInt32] = []
  package var pending: UInt64 = 0
  package var sharedPending: UInt64 = 0
  package var blocked: UInt64 = 0
  package var ignored: UInt64 = 0
  package var caught: UInt64 = 0
  package var command: [UInt8] = []

  /// nil when the thread is gone or the text is not as expected.
  package init?(reading thread: Int32) {
    var text = PathText()
    guard readWhole(-100, PathText("/proc/\(thread)/status"), into: &text) > 0 else { return nil }
    let bytes = text.bytes
    var start = bytes.startIndex
    while start < bytes.endIndex {
      let end = bytes[start...].firstIndex(of: 10) ?? bytes.endIndex
      take(bytes[start..<end])
      start = end + 1
    }
    guard process > 0, fsUID != .max, fsGID != .max else { return nil }
  }

  private mutating func take(_ line: ArraySlice<UInt8>) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
    let value = line[(colon + 1)...]
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "Name": command = Array(value.drop { $0 == 9 })
    case "Umask": mask = UInt32(number(value, base: 8))
    case "Tgid": process = Int32(truncatingIfNeeded: number(value, base: 10))
    case "PPid": parent = Int32(truncatingIfNeeded: number(value, base: 10))
    case "Threads": threads = Int32(truncatingIfNeeded: number(value, base: 10))
    case "Uid":
      let ids = numbers(value)
      guard ids.count == 4 else { return }
      effectiveUID = ids[1]
      fsUID = ids[3]
    case "Gid":
      let ids = numbers(value)
      if ids.count == 4 { fsGID = ids[3] }
    case "Groups": groups = numbers(value)
    case "SigPnd": pending = number(value, base: 16)
    case "ShdPnd": sharedPending = number(value, base: 16)
    case "SigBlk": blocked = number(value, base: 16)
    case "SigIgn": ignored = number(value, base: 16)
    case "SigCgt": caught = number(value, base: 16)
    default: break
    }
  }

  private func numbers(_ value: ArraySlice<UInt8>) -> [UInt32] {
    value.split(whereSeparator: { $0 == 9 || $0 == 32 }).map {
      UInt32(truncatingIfNeeded: number($0, base: 10))
    }
  }

  private func number(_ value: ArraySlice<UInt8>, base: UInt64) -> UInt64 {
    var result: UInt64 = 0
    for byte in value {
      let digit: UInt64
      switch byte {
      case 0x30...0x39: digit = UInt64(byte - 0x30)
      case 0x61...0x66: digit = UInt64(byte - 0x57)
      default: continue
      }
      result = result &* base &+ digit
    }
    return result
  }
}

/// With whose rights a call is carried out. `credentials(7)`.
package struct Identity: Equatable, Sendable {
  package let uid: UInt32
  package let gid: UInt32
  package let groups: [UInt32]
}
