import LinuxSystem

/// Whether this process is inside a session already. The daemon decides that for itself; here it is only said kindly.
package enum Confinement {
  /// Throws when we are inside. `always`: also where no variable says so (the daemon's socket was refused).
  static func refuse(_ context: ProcessContext, always: Bool = false) throws(CommandFailure) {
    let session = context.value(of: "AGENTSH_SESSION_ID")
    guard always || session != nil || context.value(of: "AGENTSH_IN_SESSION") != nil else { return }
    guard case .success(let status) = readAll("/proc/self/status", limit: 1 << 16),
      isConfined(status: String(decoding: status, as: UTF8.self))
    else { return }
    throw CommandFailure(
      code: ExitStatus.notWrapped,
      "this process is already inside \(session.map { "session \($0)" } ?? "a session")",
      hint: "everything started here is under its policy; run the command without agentsh wrap")
  }

  /// No new privileges and a seccomp filter, as in every process of a session. `proc_pid_status(5)`.
  package static func isConfined(status: String) -> Bool {
    var noNewPrivileges = false
    var filtered = false
    for line in status.split(separator: "\n") {
      let parts = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
      guard parts.count == 2 else { continue }
      if parts[0] == "NoNewPrivs" { noNewPrivileges = parts[1] == "1" }
      if parts[0] == "Seccomp" { filtered = parts[1] == "2" }
    }
    return noNewPrivileges && filtered
  }
}
