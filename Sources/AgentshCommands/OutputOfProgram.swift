import AgentshClient
import CLinux
import LinuxSystem

/// One of our own programs, run for what it prints.
struct OutputOfProgram: ~Copyable {
  private let pid: Int32
  private let pidfd: FileDescriptor
  private let output: FileDescriptor

  private init(pid: Int32, pidfd: Int32, output: consuming FileDescriptor) {
    self.pid = pid
    self.pidfd = FileDescriptor(owning: pidfd)
    self.output = output
  }

  static func start(_ program: String, _ arguments: [String]) throws(SystemCallError) -> OutputOfProgram {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the kernel writes two numbers.
    let piped = unsafe ends.withUnsafeMutableBytes {
      rawCall(Int(SYS_pipe2), kernelAddress($0.baseAddress), Int(O_CLOEXEC))
    }
    try check("pipe2", piped)
    let theirs = FileDescriptor(owning: ends[1])
    let ours = FileDescriptor(owning: ends[0])
    let path = CStringTable([program])
    let words = CStringTable(arguments)
    let environment = CStringTable(["SWIFT_BACKTRACE=enable=no", "PATH=/usr/bin:/bin"])
    var pidfd: Int32 = -1
    var stage: Int32 = 0
    let table = [0, theirs.number, 2]
    // SAFETY: tables and descriptors outlive the call.
    let child = unsafe table.withUnsafeBufferPointer { table in
      var request = unsafe clinux_spawn()
      unsafe request.path = unsafe UnsafePointer(path.pointer.pointee)
      unsafe request.argv = unsafe words.pointer
      unsafe request.envp = unsafe environment.pointer
      unsafe request.fds = table.baseAddress
      unsafe request.fd_count = 3
      return unsafe clinux_spawn(&request, &pidfd, &stage)
    }
    let pid = Int32(try check("execve", child))
    return OutputOfProgram(pid: pid, pidfd: pidfd, output: ours)
  }

  /// All that it prints until it ends, and its wait status. EFBIG over `limit` bytes; it is killed then.
  func all(limit: Int) throws(SystemCallError) -> (output: [UInt8], status: Int32) {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 * 1024)
    let number = output.number
    while true {
      let count = retryingInterrupt {
        // SAFETY: the kernel writes at most the buffer's size.
        unsafe chunk.withUnsafeMutableBytes {
          rawCall(Int(SYS_read), Int(number), kernelAddress($0.baseAddress), $0.count)
        }
      }
      if count == 0 { return (bytes, waitForExit(pid)) }
      bytes += chunk[..<max(0, count)]
      guard count > 0, bytes.count <= limit else {
        sendSignal(pidfd.number, SIGKILL)
        _ = waitForExit(pid)
        throw SystemCallError("read", count < 0 ? Int32(-count) : EFBIG)
      }
    }
  }
}
