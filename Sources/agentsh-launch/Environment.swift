import AgentshLauncher
import AgentshWire
import CLinux

/// The environment as it was inherited. The strings live as long as the process.
struct Environment {
  /// The first value of that name; nil when there is none, or it is no UTF-8.
  func value(_ name: String) -> String? {
    guard let table = unsafe clinux_environ() else { return nil }
    return unsafe AgentshLauncher.value(named: name, in: Launch.Strings(table)).flatMap {
      String(validating: $0, as: UTF8.self)
    }
  }

  /// A decimal number from 0 on, without sign or space.
  func number(_ name: String) -> Int32? { value(name).flatMap { decimal($0) } }

  /// Everything but the launcher's own, NULL-terminated, for execve. Never freed: the process becomes another.
  func forCommand() -> Launch.Strings {
    let environment = unsafe clinux_environ()
    var all = 0
    // SAFETY: the table ends with NULL. One place more than there are entries; each that is used is written once.
    while let _ = unsafe environment?[all] { all += 1 }
    let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: all + 1)
    var count = 0
    for index in 0..<all {
      guard let entry = unsafe environment?[index] else { break }
      let isOurs = LauncherVariables.all.contains { name in
        unsafe AgentshLauncher.value(named: name, of: entry) != nil
      }
      if isOurs { continue }
      unsafe (list + count).initialize(to: entry)
      count += 1
    }
    unsafe (list + count).initialize(to: nil)
    return unsafe Launch.Strings(list)
  }
}

/// Digits only; nil for anything else, and for what is over `Int32.max`.
func decimal(_ text: some StringProtocol) -> Int32? {
  text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? Int32(text) : nil
}
