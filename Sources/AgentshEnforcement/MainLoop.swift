import AgentshWire
import CLinux
import LinuxSystem
import Ptrace
import Seccomp
import Synchronization

/// The supervisor's main thread: signals, the daemon's frames, the agent's end, the tree's end.
struct MainLoop: ~Copyable {
  private let supervisor: Supervisor
  private let isParent: Bool
  /// Whether the agent has ended; its parent has heard of it.
  private var hasEnded = false
  /// As a shell says it; nil also where nobody tells us, who are not its parent.
  private var exitStatus: Int32?
  private var nextReconnect: UInt64 = 0
  private var termAt: UInt64?
  /// A thread traced when children were to be taken: look again soon.
  private var postponed = false
  /// When the mounts are looked at although nobody has told of a change.
  private var nextMounts: UInt64
  private static let graceNanoseconds: UInt64 = 2_000_000_000
  private static let mountsNanoseconds: UInt64 = 1_000_000_000

  init(_ supervisor: Supervisor) {
    self.supervisor = supervisor
    isParent = supervisor.arguments.launchSocket != nil
    nextMounts = Self.nextLook(at: supervisor.mediator.frame.mounts)
  }

  /// Until the agent has ended and nobody of its tree is left. Returns its status, where it is known.
  mutating func run() -> Int32? {
    let signals = openSignals()
    let children = FileDescriptor(owning: signals)
    while true {
      wait(children.number)
      takeSignals(children.number)
      supervisor.helpers.wakeAbandoned()
      supervisor.helpers.refuseStuck()
      supervisor.approvals.watch()
      supervisor.receivers.watch()
      reap()
      if isOver() { break }
    }
    return exitStatus
  }

  /// Blocks until something happens, at most 100 ms.
  private mutating func wait(_ signals: Int32) {
    let channel = supervisor.sender.channel
    var entries: [pollfd] = [
      pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
      pollfd(fd: channel?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: hasEnded ? -1 : supervisor.arguments.pidfd, events: Int16(POLLIN), revents: 0),
      pollfd(fd: supervisor.mediator.frame.mounts.changes.number, events: Int16(POLLPRI), revents: 0),
    ]
    let milliseconds: Int32 = postponed ? 1 : termAt != nil ? 5 : 100
    // SAFETY: four entries, alive across the call.
    let ready = unsafe entries.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 4, milliseconds) }
    if ready > 0, entries[1].revents != 0, let channel { takeFrame(channel) }
    lookAtMounts(changed: ready > 0 && entries[3].revents != 0)
    if channel == nil { reconnect() }
  }

  /// What cannot be read is tried again at the next turn.
  private mutating func lookAtMounts(changed: Bool) {
    guard changed || monotonicClock() >= nextMounts else { return }
    let mounts = supervisor.mediator.frame.mounts
    nextMounts = mounts.refresh() ? Self.nextLook(at: mounts) : 0
  }

  /// Nobody tells when a directory is renamed that is mounted elsewhere: where some are, they are looked at each second.
  private static func nextLook(at mounts: Mounts) -> UInt64 {
    mounts.table == nil ? .max : monotonicClock() + mountsNanoseconds
  }

  /// After the end: until the daemon has everything, or it lies in the spool. True when the daemon has it. A daemon that
  /// gives no sign of life is left alone; what the spool does not take either is waited for, unless the configuration or
  /// the person says otherwise.
  mutating func drain(milliseconds: UInt64) -> Bool {
    settle()
    supervisor.sender.close()
    let signals = FileDescriptor(owning: openSignals())
    // From the last sign of life on: a daemon that is slow is waited for without a word.
    var end = monotonicClock() + milliseconds * 1_000_000
    var told = false
    var gaveUp = false
    while true {
      if monotonicClock() >= end, !gaveUp, let channel = supervisor.sender.channel {
        gaveUp = true
        supervisor.sender.giveUp(channel)
        end = monotonicClock() + 1_000_000_000
        nextReconnect = end
      }
      if monotonicClock() >= end {
        guard isParent, supervisor.welcome.overflow == .block, !isTold(signals.number) else { return false }
        if !told {
          writeError("agentsh: the last events are not stored yet: waiting (interrupt to give up)\n")
        }
        told = true
      }
      switch supervisor.sender.progress {
      case .stored: return true
      case .lost: return false
      case .working: break
      }
      guard let channel = supervisor.sender.channel else {
        reconnect()
        FutexWord().wait(while: 0, milliseconds: 2)
        continue
      }
      var entry = pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0)
      // SAFETY: one entry, alive across the call.
      if unsafe poll(&entry, 1, 5) > 0 {
        takeFrame(channel)
        end = monotonicClock() + milliseconds * 1_000_000
      }
    }
  }

  /// Calls are answered before they are recorded, and who got the last answer may be gone before that. A thread that is
  /// stuck has answered nobody: it is not waited for longer than a second.
  private func settle() {
    let end = monotonicClock() + 1_000_000_000
    // In this order: what a receiver hands over is queued before it is done.
    while supervisor.receivers.isBusy || supervisor.helpers.isBusy, monotonicClock() < end {
      supervisor.helpers.wakeAbandoned()
      FutexWord().wait(while: 0, milliseconds: 1)
    }
  }

  /// Whether somebody wants us to end.
  private func isTold(_ signals: Int32) -> Bool {
    var information = signalfd_siginfo()
    while true {
      // SAFETY: `information` lives across the call.
      let count = unsafe withUnsafeMutablePointer(to: &information) {
        rawCall(Int(SYS_read), Int(signals), kernelAddress($0), MemoryLayout<signalfd_siginfo>.size)
      }
      guard count == MemoryLayout<signalfd_siginfo>.size else { return false }
      if [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(Int32(bitPattern: information.ssi_signo)) {
        return true
      }
    }
  }

  // MARK: the daemon

  private func takeFrame(_ channel: Channel) {
    do throws(Channel.Failure) {
      let (kind, payload) = try channel.receive()
      var reader = WireReader(payload)
      switch kind {
      case .stored:
        if let number = try? reader.value(UInt64.self) { supervisor.sender.confirm(number) }
      case .approvalAnswer:
        let answer = try? reader.value(ApprovalAnswer.self)
        if let answer { supervisor.approvals.answer(answer) } else { supervisor.sender.disconnect(channel) }
      case .end:
        let reason = (try? reader.value(String.self)) ?? "ended by the daemon"
        supervisor.recorder.lifecycle("the session ends: \(reason)")
        supervisor.ending.store(true, ordering: .relaxed)
      default:
        // Nothing else is the daemon's to say now: the connection is not to be trusted any more.
        supervisor.sender.disconnect(channel)
      }
    } catch {
      supervisor.sender.disconnect(channel)
    }
  }

  /// Once a second, while the daemon is away: its socket for supervisors, with the key that it gave us.
  private mutating func reconnect() {
    let now = monotonicClock()
    guard now >= nextReconnect else { return }
    nextReconnect = now + 1_000_000_000
    guard let socket = try? UnixSocket.connect(to: supervisor.welcome.supervisorSocket, seconds: 1) else {
      return
    }
    let channel = Channel(owning: socket.release())
    let hello = Hello(
      sessionID: supervisor.welcome.sessionID, supervisorPid: supervisor.mediator.frame.ownPid,
      reattachKey: supervisor.welcome.reattachKey)
    do throws(Channel.Failure) {
      try channel.send(frame(.hello, hello))
      supervisor.sender.reconnect(channel)
    } catch {
      channel.close()
    }
  }

  // MARK: signals

  private func openSignals() -> Int32 {
    var set = sigset_t()
    // SAFETY: `set` lives across the calls.
    unsafe sigemptyset(&set)
    let news = supervisor.tracing == nil ? SIGCHLD : Tracing.newsSignal
    for signal in [
      news, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE,
    ] {
      unsafe sigaddset(&set, signal)
    }
    return unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
  }

  /// What the terminal sends to the whole group the agent gets itself; what somebody sends to us is for the agent.
  private func takeSignals(_ descriptor: Int32) {
    var information = signalfd_siginfo()
    while true {
      // SAFETY: `information` lives across the call.
      let count = unsafe withUnsafeMutablePointer(to: &information) {
        rawCall(Int(SYS_read), Int(descriptor), kernelAddress($0), MemoryLayout<signalfd_siginfo>.size)
      }
      guard count == MemoryLayout<signalfd_siginfo>.size else { return }
      let signal = Int32(bitPattern: information.ssi_signo)
      switch signal {
      case SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT:
        guard information.ssi_code <= 0 else { continue }
        if isParent {
          sendSignal(supervisor.arguments.pidfd, signal)
        } else if signal == SIGTERM {
          supervisor.recorder.lifecycle("the supervisor was told to end: the session ends")
          supervisor.ending.store(true, ordering: .relaxed)
        }
      default: continue
      }
    }
  }

  // MARK: children

  /// Takes dead children (orphans of the tree come to us) and sees the agent stop and end.
  private mutating func reap() {
    var found: [(pid: Int32, status: Int32)] = []
    // The tracing thread takes every child's news.
    let ran =
      supervisor.tracing.map {
        found = $0.tracer.takeChanges().map { (supervisor.arguments.target, $0) }
        return true
      }
      ?? supervisor.mediator.gate.whileIdle {
        while true {
          var status: Int32 = 0
          // __WALL | __WNOTHREAD | WNOHANG | WUNTRACED.
          let pid = waitFor(-1, 0x4000_0000 | 0x2000_0000 | 1 | 2, &status)
          guard pid > 0 else { return }
          found.append((Int32(pid), status))
        }
      }
    postponed = !ran
    guard ran else { return }
    for (pid, status) in found where pid == supervisor.arguments.target {
      takeEnd(status)
      if isParent, exitStatus != nil { hasEnded = true }
      if isParent, clinux_wifstopped(status) != 0 { stopWithAgent() }
    }
    if !isParent, !hasEnded, isGone(supervisor.arguments.pidfd) {
      hasEnded = true
      if let status = waitStatus(ofReaped: supervisor.arguments.pidfd) { takeEnd(status) }
    }
  }

  private mutating func takeEnd(_ status: Int32) {
    if clinux_wifexited(status) != 0 { exitStatus = clinux_wexitstatus(status) }
    if clinux_wifsignaled(status) != 0 { exitStatus = 128 + clinux_wtermsig(status) }
  }

  /// The shell that started us has to see a stopped job; when it goes on, so does the agent.
  private func stopWithAgent() {
    sendSignal(toPid: supervisor.mediator.frame.ownPid, SIGSTOP)
    sendSignal(supervisor.arguments.pidfd, SIGCONT)
  }

  private func isGone(_ pidfd: Int32) -> Bool { sendSignal(pidfd, 0) == -Int(ESRCH) }

  // MARK: the end

  /// When the agent ended, or the session has to: whoever is left gets SIGTERM, two seconds, SIGKILL until nobody is.
  private mutating func isOver() -> Bool {
    let forced = supervisor.ending.load(ordering: .relaxed)
    guard hasEnded || forced else { return false }
    // No task has the filter any more: that is everybody, and asking costs nothing.
    if hasEnded, filterIsUnused() { return true }
    let tree = Tree(
      roots: isParent ? [supervisor.mediator.frame.ownPid] : [supervisor.arguments.target],
      own: supervisor.mediator.frame.ownPid, group: supervisor.mediator.frame.group)
    guard let since = termAt else {
      termAt = monotonicClock()
      return tree.signal(SIGTERM) && hasEnded
    }
    if monotonicClock() - since > Self.graceNanoseconds { tree.signal(SIGKILL) }
    let (left, areAll) = tree.members()
    return left.isEmpty && areAll && (hasEnded || !isParent)
  }
}

extension MainLoop {
  /// Every task of the tree has the filter, and a dead one lets it go: POLLHUP on the listener. `seccomp_unotify(2)`.
  private func filterIsUnused() -> Bool {
    if let tracing = supervisor.tracing { return tracing.tracer.isOver }
    var entry = pollfd(fd: supervisor.listener, events: 0, revents: 0)
    // SAFETY: one entry, alive across the call.
    return unsafe poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP) != 0
  }
}
