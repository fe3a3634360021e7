import CLinux
import LinuxSystem

/// What a process that stands at its exec stop is about to run.
struct ExecImage {
  private var information = stat()
  private(set) var name = ""
  private var bytes: [UInt8] = []
  /// File and arguments could be read.
  private(set) var isWhole = false

  /// Reads the image of `process`; of its arguments one byte more than `limit` at most. `proc_pid_exe(5)`,
  /// `proc_pid_cmdline(5)`.
  init(_ process: Int32, limit: Int) {
    let executable = ProcPath(process, "exe")
    let found = executable.withAddress { address in
      // SAFETY: `information` lives across the call.
      unsafe withUnsafeMutablePointer(to: &information) { rawCall(Int(SYS_stat), address, kernelAddress($0)) }
    }
    let opened = ProcPath(process, "cmdline").open(flags: O_RDONLY | O_CLOEXEC)
    guard found == 0, opened >= 0 else { return }
    let file = FileDescriptor(owning: Int32(opened))
    bytes = [UInt8](repeating: 0, count: limit + 1)
    var filled = 0
    while filled < bytes.count {
      // SAFETY: within the array, alive across the call.
      let count = unsafe bytes.withUnsafeMutableBytes {
        rawCall(Int(SYS_read), Int(file.number), kernelAddress($0.baseAddress) + filled, $0.count - filled)
      }
      if count == -Int(EINTR) { continue }
      if count < 0 { return }
      if count == 0 { break }
      filled += count
    }
    bytes.removeSubrange(filled...)
    isWhole = true
  }

  /// Whether it is the file that was allowed, with the arguments that were allowed.
  func matches(_ exec: borrowing PreparedExec) -> Bool {
    var allowed = stat()
    guard isWhole, statDescriptor(exec.image, &allowed) == 0 else { return false }
    return allowed.st_dev == information.st_dev && allowed.st_ino == information.st_ino
      && bytes == exec.expected.bytes
  }

  mutating func readName(of process: Int32) {
    var text = PathText()
    if ProcPath(process, "exe").readLink(into: &text) > 0 { name = text.text }
  }

  var arguments: ExecArguments {
    var list = ExecArguments()
    for part in bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false) { list.append(part) }
    return list
  }

  var argumentList: [String] { arguments.recorded }
}
