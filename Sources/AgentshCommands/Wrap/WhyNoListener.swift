import CLinux
import LinuxSystem

/// Why a process started from here cannot have a seccomp listener: the errno that it gets, by name. nil: it can, or only the
/// kernel's make can stand in the way, which the daemon knows.
///
/// A filter around us may refuse it, and there is at most one listener for a process. Tried in a child where there is such
/// a filter, or it is not known (`Seccomp_filters` of proc(5), since Linux 5.9).
func whyNoListener() -> String? {
  if case .success(let status) = readAll("/proc/self/status", limit: 8192),
    String(decoding: status, as: UTF8.self).contains("\nSeccomp_filters:\t0\n")
  {
    return nil
  }
  let errno = Int32(clinux_try_listener())
  return errno == 0 ? nil : errnoText(errno)
}
