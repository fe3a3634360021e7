import CLinux
import Cgroup
import Landlock
import LinuxSystem

/// A real restriction in a child, after which the root directory must be closed to it.
func landlockStatus() -> [MechanismStatus] {
  let report = LandlockReport()
  var files = MechanismStatus("landlock", report.files)
  if report.abi > 0 {
    let problem = landlockProblem()
    files = MechanismStatus(
      "landlock", problem == nil, problem ?? "ABI \(report.abi): a child was restricted (\(report.files))")
  }
  return [
    files, MechanismStatus("landlock_network", report.network),
    MechanismStatus("landlock_scope", report.scopes),
  ]
}

private func landlockProblem() -> String? {
  do throws(SystemCallError) {
    let errno = try ProbeChild {
      do throws(SystemCallError) {
        try check("prctl", rawCall(Int(SYS_prctl), Int(PR_SET_NO_NEW_PRIVS), 1))
        try Ruleset(network: true, scope: [.abstractSockets, .signals]).restrictSelf()
      } catch { return error.errno }
      let opened = openAt(AT_FDCWD, PathText("/"), flags: O_RDONLY | O_DIRECTORY)
      return opened == -Int(EACCES) ? 0 : EBADE
    }.finish()
    switch errno {
    case 0: return nil
    case EBADE: return "a restriction was accepted and had no effect"
    default: return "a restriction was refused: \(errnoText(errno))"
    }
  } catch { return "\(error)" }
}

/// PIDFD_THREAD, since Linux 6.9: descriptors of single threads (DECISIONS 18).
func threadHandleStatus() -> MechanismStatus {
  let opened = openPidfd(currentThread(), flags: pidfdThread)
  if opened >= 0 { closeDescriptor(Int32(opened)) }
  let without = "needs Linux 6.9; threads inside cannot have directories and descriptors of their own"
  return MechanismStatus(
    "thread_handles", opened >= 0, opened >= 0 ? "pidfd_open takes PIDFD_THREAD" : without)
}

/// SO_PEERPIDFD, since Linux 6.5: a peer that cannot be mistaken for its pid's next owner.
func peerHandleStatus() -> MechanismStatus {
  var ends: (Int32, Int32) = (-1, -1)
  var handle: Int32 = -1
  var size = socklen_t(MemoryLayout<Int32>.size)
  // SAFETY: room for two descriptors, then for one and its size; all live across the calls.
  let made = unsafe withUnsafeMutablePointer(to: &ends) {
    rawCall(Int(SYS_socketpair), Int(AF_UNIX), 1 | Int(O_CLOEXEC), 0, kernelAddress($0))
  }
  guard made == 0 else {
    return MechanismStatus("peer_handles", false, "socketpair: \(errnoText(Int32(-made)))")
  }
  let result = unsafe withUnsafeMutablePointer(to: &handle) { handle in
    unsafe withUnsafeMutablePointer(to: &size) { size in
      rawCall(
        Int(SYS_getsockopt), Int(ends.0), Int(SOL_SOCKET), 77, kernelAddress(handle), kernelAddress(size))
    }
  }
  closeDescriptor(ends.0)
  closeDescriptor(ends.1)
  if result == 0 { closeDescriptor(handle) }
  return MechanismStatus(
    "peer_handles", result == 0,
    result == 0
      ? "SO_PEERPIDFD names a socket's peer" : "needs Linux 6.5; peers are told by pid and start time")
}

/// A group of our own, a process in it, and the group's end.
func cgroupStatus() -> MechanismStatus {
  do throws(CgroupAbsent) {
    let group = try CgroupTree.make(named: "agentsh-detect-\(currentProcess())")
    let problem = killProblem(group)
    try? group.remove()
    return MechanismStatus(
      "cgroup_kill", problem == nil, problem ?? "a process below \(group.path) was killed")
  } catch { return MechanismStatus("cgroup_kill", false, "\(error)") }
}

private func killProblem(_ group: borrowing CgroupTree) -> String? {
  do throws(SystemCallError) {
    let child = try ProbeChild {
      pause(milliseconds: 10_000)
      return 0
    }
    do throws(SystemCallError) {
      try group.add(pid: child.pid)
      try group.kill()
    } catch {
      child.end()
      return "\(error)"
    }
    return child.finish() == ECANCELED ? nil : "cgroup.kill had no effect"
  } catch { return "\(error)" }
}

/// Not needed; shown because a tree that could make them has more kernel to reach (it is refused inside).
func namespaceStatus() -> MechanismStatus {
  let name = "user_namespaces"
  do throws(SystemCallError) {
    let errno = try ProbeChild { Int32(-rawCall(Int(SYS_unshare), 0x1000_0000)) }.finish()
    let detail =
      errno == 0 ? "can be made by this user outside; refused inside" : "unshare: \(errnoText(errno))"
    return MechanismStatus(name, errno == 0, detail)
  } catch { return MechanismStatus(name, false, "\(error)") }
}

/// Names, directories and descriptors of callers come from /proc.
func procStatus() -> MechanismStatus {
  guard case .success(let text) = readAll("/proc/self/stat", limit: 1 << 16),
    let pid = text.split(separator: 32).first
  else { return MechanismStatus("proc", false, "/proc is not mounted or not readable") }
  let shown = String(decoding: pid, as: UTF8.self)
  guard shown == "\(currentProcess())" else {
    return MechanismStatus(
      "proc", false, "/proc belongs to another pid namespace: it calls this process \(shown)")
  }
  return MechanismStatus("proc", true, "mounted for this pid namespace")
}

/// `Documentation/admin-guide/LSM/Yama.rst`.
func yamaStatus() -> MechanismStatus {
  let name = "yama"
  guard case .success(let text) = readAll("/proc/sys/kernel/yama/ptrace_scope", limit: 64) else {
    return MechanismStatus(name, true, "not active")
  }
  let scope = String(decoding: text.filter { $0 > 32 }, as: UTF8.self)
  switch scope {
  case "0": return MechanismStatus(name, true, "ptrace_scope 0: no restriction")
  case "1": return MechanismStatus(name, true, "ptrace_scope 1: an ancestor may read its tree")
  case "2": return MechanismStatus(name, false, "ptrace_scope 2: reading memory takes CAP_SYS_PTRACE")
  default: return MechanismStatus(name, false, "ptrace_scope \(scope): nobody may read another's memory")
  }
}
