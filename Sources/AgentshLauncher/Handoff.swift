import AgentshWire
import CLinux
import LinuxSystem
import Seccomp

/// Hands the listener over. The filter notifies sendmsg, so a helper that was made before it does the sending.
struct Handoff {
  private static let stackSize = 64 * 1024
  let socket: Int32

  /// Checks that the descriptor is what the contract says: a SOCK_SEQPACKET socket.
  init(socket: Int32) throws(LaunchError) {
    var type: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    // SAFETY: both live across the call.
    let result = unsafe withUnsafeMutablePointer(to: &type) { type in
      unsafe withUnsafeMutablePointer(to: &size) { size in
        rawCall(
          SystemCall.getsockopt, Int(socket), Int(SOL_SOCKET), Int(SO_TYPE), kernelAddress(type),
          kernelAddress(size))
      }
    }
    _ = try LaunchError.step(.noNotifySocket) { () throws(SystemCallError) in try check("getsockopt", result)
    }
    guard type == 5 else {
      throw LaunchError(.noNotifySocket, "descriptor \(socket) is no SOCK_SEQPACKET socket")
    }
    self.socket = socket
  }

  /// Installs the filter and has its listener sent. This process holds no listener afterwards.
  func install(_ filter: FilterProgram) throws(LaunchError) {
    // SAFETY: state and stack are never freed, so the helper, which shares them, cannot outlive them.
    let state = UnsafeMutablePointer<clinux_handoff>.allocate(capacity: 1)
    unsafe state.initialize(to: clinux_handoff(socket: socket, listener: -1, result: 0, parent: 0))
    // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    let mapped = rawCall(SystemCall.mmap, 0, Self.stackSize, 3, 0x22, -1, 0)
    let stack = try LaunchError.step(.handOff) { () throws(SystemCallError) in try check("mmap", mapped) }
    let pid = unsafe clinux_handoff_start(state, UnsafeMutableRawPointer(bitPattern: stack), Self.stackSize)
    _ = try LaunchError.step(.handOff) { () throws(SystemCallError) in try check("clone", pid) }
    let listener: FileDescriptor
    do { listener = try filter.installNotifying() } catch {
      _ = unsafe clinux_handoff_finish(state, Int32(truncatingIfNeeded: pid), -2)
      throw LaunchError(.filter, error)
    }
    let sent = unsafe clinux_handoff_finish(state, Int32(truncatingIfNeeded: pid), listener.number)
    _ = try LaunchError.step(.handOff) { () throws(SystemCallError) in try check("sendmsg", sent) }
  }

  /// Ptrace mode: a pidfd of this process, in the listener's place. It says that what comes before the filter is done.
  func sendOwnHandle() throws(LaunchError) {
    let opened = openPidfd(Int32(rawCall(SystemCall.getpid)))
    let handle = FileDescriptor(
      owning: Int32(
        try LaunchError.step(.handOff) { () throws(SystemCallError) in try check("pidfd_open", opened) }))
    var (byte, number): (UInt8, Int32) = (0, handle.number)
    // SAFETY: both live across the call.
    let sent = unsafe clinux_send_fds(socket, &byte, 1, &number, 1)
    _ = try LaunchError.step(.handOff) { () throws(SystemCallError) in try check("sendmsg", Int(sent)) }
  }

  /// Blocks until the other side says 0x01. `read(2)`, which the filter lets pass.
  func awaitAcknowledgement() throws(LaunchError) {
    var byte: UInt8 = 0
    // SAFETY: one byte, alive across the call.
    let result = unsafe withUnsafeMutablePointer(to: &byte) { byte in
      retryingInterrupt { rawCall(SystemCall.read, Int(socket), kernelAddress(byte), 1) }
    }
    let count = try LaunchError.step(.noAcknowledgement) { () throws(SystemCallError) in
      try check("read", result)
    }
    guard count == 1 else { throw LaunchError(.noAcknowledgement, "the socket was closed") }
    guard byte == 1 else { throw LaunchError(.noAcknowledgement, "the answer was \(byte)") }
  }
}
