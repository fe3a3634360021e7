import AgentshSession
import CLinux
import LinuxSystem
import Logging

extension LaunchDirector {
  /// Ends what a walk over parents did not find: a process whose parents died with the supervisor is nobody's child any
  /// more. All of the tree have the filter, so each is known by the first call that it makes, and ended instead of answered.
  /// Returns at once; goes on until nobody has the filter. `seccomp_unotify(2)`
  func endRemnant(of launch: Launch, _ listener: ReceivedListener) {
    let session = launch.session.details.id
    let logger = services.logger
    do throws(SystemCallError) {
      try NamedThread.start("remnant") {
        while !isUnused(listener.number) {
          guard let process = endCaller(listener.number) else { continue }
          logger.warning("session \(session): process \(process) outlived its supervisor and is ended")
        }
        listener.close()
      }
    } catch {
      // Then each call of theirs fails with ENOSYS.
      listener.close()
      logger.error("session \(session): what outlived its supervisor cannot be watched: \(error)")
    }
  }
}

/// Waits for a call, at most a second, and kills the process that makes it. Its pid; nil when there was none.
private func endCaller(_ listener: Int32) -> Int32? {
  guard !waitForAny([listener], milliseconds: 1000).isEmpty, !isUnused(listener) else { return nil }
  var request = seccomp_notif()  // the kernel wants it zeroed
  // SAFETY: `request` lives across the call.
  guard unsafe clinux_notif_receive(listener, &request) == 0 else { return nil }
  let thread = Int32(bitPattern: request.pid)
  // As long as the call waits, the number is its own.
  guard let process = ThreadIdentity(of: thread)?.process ?? ProcessFacts(pid: thread)?.pid,
    clinux_notif_id_valid(listener, request.id) == 0
  else { return nil }
  sendSignal(toPid: process, SIGKILL)
  return process
}

/// Whether every task with the filter is gone.
private func isUnused(_ listener: Int32) -> Bool {
  var entry = pollfd(fd: listener, events: 0, revents: 0)
  // SAFETY: one entry, alive across the call.
  return unsafe poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP) != 0
}
