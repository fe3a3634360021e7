/// Variables that are the launcher's own; the command does not get them. WRAP-PROTOCOL section 2
package enum LauncherVariables {
  package static let plan = "AGENTSH_LAUNCH_PLAN"
  package static let socket = "AGENTSH_NOTIFY_SOCK_FD"
  package static let signalSocket = "AGENTSH_SIGNAL_SOCK_FD"
  package static let log = "AGENTSH_WRAPPER_LOG_FD"
  package static let kept = "AGENTSH_KEEP_FDS"
  package static let all = [plan, socket, signalSocket, log, kept]
}
