import AgentshAPI
import LinuxSystem

/// Whether no filter stands around us: then only the kernel's make can keep us from a seccomp listener, which the daemon
/// knows. `Seccomp_filters` of proc(5), since Linux 5.9.
func isWithoutFilter() -> Bool {
  guard case .success(let status) = readAll("/proc/self/status", limit: 8192) else { return false }
  // By bytes: searching a string makes tables of characters first.
  return status.split(separator: UInt8(ascii: "\n")).contains { $0.elementsEqual("Seccomp_filters:\t0".utf8) }
}

/// Tries in throw-away processes whether calls can be received and answered, as `agentsh detect`. `available`, or why not.
func tryListener(supervisor: String) throws(CommandFailure) -> String {
  for finding in try DetectCommand.findings(supervisor) {
    let isNeeded = finding.name == "seccomp_notify" || finding.name == "add_descriptor"
    if isNeeded, !finding.available { return finding.detail }
  }
  return WrapInitRequest.listenerAvailable
}
