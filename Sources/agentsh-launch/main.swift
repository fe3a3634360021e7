import AgentshWire
import LinuxSystem

// The status of every step that fails is in `LaunchFailure`; success never returns.
rawCall(SystemCall.exitGroup, Int(launch().rawValue))
