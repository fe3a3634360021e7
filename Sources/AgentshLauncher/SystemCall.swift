/// Numbers of the raw calls made here, of x86_64. `syscalls(2)`.
enum SystemCall {
  static let read = 0
  static let write = 1
  static let fstat = 5
  static let mmap = 9
  static let getpid = 39
  static let getsockopt = 55
  static let execve = 59
  static let fcntl = 72
  static let getuid = 102
  static let geteuid = 107
  static let capget = 125
  static let capset = 126
  static let prctl = 157
  static let newfstatat = 262
  static let faccessat = 269
  static let pidfdOpen = 434
  static let closeRange = 436
}
