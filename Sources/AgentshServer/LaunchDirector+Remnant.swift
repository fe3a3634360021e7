import AgentshSession
import CLinux
import LinuxSystem
import Logging

extension LaunchDirector {
  /// Holds the processes of a launch, and ends the tree at the moment when its supervisor dies, whatever the launch's own
  /// thread does then: that may be storing events for seconds.
  func hold(
    _ launch: Launch, supervisor: SharedDescriptor?, target: (pid: Int32, pidfd: SharedDescriptor?),
    spawned: Bool
  ) {
    launch.setProcesses(supervisor: supervisor, target: target.pidfd, spawned: spawned)
    guard let supervisor else { return }
    do throws(SystemCallError) {
      try ReusedThread.start("death") {
        while waitForAny([supervisor.number], milliseconds: -1).isEmpty {}
        if !launch.isOver { self.kill(launch, target.pid) }
      }
    } catch {
      // The launch's own thread sees the death as well, later.
      let session = launch.session.details.id
      services.logger.warning("session \(session): no thread to watch its supervisor: \(error)")
    }
  }

  /// Ends what a walk over parents did not find: a process whose parents died with the supervisor is nobody's child any
  /// more. All of the tree have the filter, so each is known by the first call that it makes, and ended instead of answered;
  /// a call that the supervisor had taken already waits for good, by which its maker is known as well.
  /// Returns at once; goes on until nobody has the filter. `seccomp_unotify(2)`
  func endRemnant(of launch: Launch, _ listener: ReceivedListener) {
    guard !isUnused(listener.number) else { return listener.close() }
    let session = launch.session.details.id
    let logger = services.logger
    let owner = launch.session.details.ownerUID
    do throws(SystemCallError) {
      try NamedThread.start("remnant") {
        var waiting: Set<Int32> = []
        while !isUnused(listener.number) {
          if let process = endCaller(listener.number) {
            logger.warning("session \(session): process \(process) outlived its supervisor and is ended")
            continue
          }
          let found = stuckOrphans(of: owner)
          for process in found.intersection(waiting) {
            sendSignal(toPid: process, SIGKILL)
            logger.warning(
              "session \(session): process \(process) hung when its supervisor died and is ended")
          }
          waiting = found
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

/// Waits for a call, at most half a second, and kills the process that makes it. Its pid; nil when there was none.
private func endCaller(_ listener: Int32) -> Int32? {
  guard !waitForAny([listener], milliseconds: 500).isEmpty, !isUnused(listener) else { return nil }
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
  poll([(listener, 0)], milliseconds: 0).contains { $0 & Int16(POLLHUP) != 0 }
}

/// Processes of `uid` that nobody answers: orphans under a filter that wait in a notification. A session that lives has
/// none: there orphans are the supervisor's, or its client's.
private func stuckOrphans(of uid: UInt32) -> Set<Int32> {
  Set(
    ProcessFacts.parents().filter { $0.parent == 1 || command($0.parent) == "systemd" }.map(\.pid).filter {
      pid in
      guard case .success(let place) = readAll("/proc/\(pid)/wchan", limit: 128),
        String(decoding: place, as: UTF8.self).hasPrefix("seccomp_do_user_notification"),
        let facts = ProcessFacts(pid: pid)
      else { return false }
      return facts.noNewPrivileges && facts.filters > 0 && (uid == 0 || facts.users.contains(uid))
    })
}

private func command(_ pid: Int32) -> String {
  guard case .success(let name) = readAll("/proc/\(pid)/comm", limit: 32) else { return "" }
  return String(decoding: name.prefix { $0 != 0x0A }, as: UTF8.self)
}
