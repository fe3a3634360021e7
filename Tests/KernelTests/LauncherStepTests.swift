import AgentshWire
import CLinux
import Foundation
import LinuxSystem
import Seccomp
import Testing

/// Each step of the launcher that fails has its own status, says so on the log alone, and the command never runs.
@Suite("Launcher steps", .serialized)
struct LauncherStepTests {
  /// The command leaves a file behind when it runs.
  private func expect(
    _ failure: LaunchFailure, under fault: Fault? = nil, saying words: String = "",
    _ change: (inout LaunchedTree.Request) -> Void = { _ in }, answer: (LaunchedTree) -> Void = { $0.say(1) }
  ) throws {
    try withDirectory { directory in
      let marker = directory + "/ran"
      var request = LaunchedTree.Request("touch", marker)
      change(&request)
      nonisolated(unsafe) let tree = try onThread { [request] in
        try fault?.install()
        return try LaunchedTree(request)
      }
      if let listener = tree.receiveListener() {
        answer(tree)
        tree.answer(listener) { $0.passThrough() }
      }
      let log = { (status: tree.wait(), text: tree.logText) }()
      #expect(log.status == failure.rawValue, "\(log.text)")
      #expect(log.text.hasPrefix("agentsh-launch: " + failure.sentence))
      #expect(words.isEmpty || log.text.contains(words), "\(log.text)")
      #expect(log.text.utf8.count(where: { $0 == 0x0a }) == 1)
      #expect(tree.outputText == "")
      #expect(tree.errorText == "")
      #expect(access(marker, F_OK) != 0)
    }
  }

  @Test("a command line that is not ours", arguments: [[], ["--"], ["true"], ["-", "true"], ["--help"]])
  func usage(arguments: [String]) throws { try expect(.usage) { $0.arguments = arguments } }

  @Test("a plan that is missing, cut, or of another version")
  func plan() throws {
    try expect(.badPlan, saying: "is not set") { $0.plan = nil }
    try expect(.badPlan) { $0.plan = "" }
    try expect(.badPlan) { $0.plan = "0100" }
    try expect(.badPlan, saying: "plan version") { $0.plan = "ff" + LaunchedTree.plan().hex!.dropFirst(2) }
  }

  @Test("no socket for the listener, or one of another kind")
  func socket() throws {
    try expect(.noNotifySocket, saying: "not set") { $0.announceSocket = false }
    try expect(.noNotifySocket, saying: "SOCK_SEQPACKET") { $0.socketType = 1 }
    for number in ["1", "99", "-1", "3x", ""] {
      try expect(.noNotifySocket) {
        $0.announceSocket = false
        $0.environment["AGENTSH_NOTIFY_SOCK_FD"] = number
      }
    }
  }

  @Test("a descriptor that may not be kept")
  func kept() throws {
    let directory = open("/tmp", O_RDONLY | O_DIRECTORY)
    defer { close(directory) }
    try expect(.badKeptDescriptor, saying: "directory") {
      $0.extra = directory
      $0.environment["AGENTSH_KEEP_FDS"] = "5"
    }
    for list in ["2", "77", "3,,4", "x", "5 ", "99999999999"] {
      try expect(.badKeptDescriptor) { $0.environment["AGENTSH_KEEP_FDS"] = list }
    }
    try expect(.badKeptDescriptor, saying: "more than 64") {
      $0.environment["AGENTSH_KEEP_FDS"] = [String](repeating: "4", count: 65).joined(separator: ",")
    }
  }

  @Test("a command that is not there")
  func notFound() throws {
    try expect(.notFound, saying: "no-such-command") { $0.words = ["no-such-command"] }
    try expect(.notFound) { $0.words = ["/no/such/command"] }
    try expect(.notFound) { $0.words = [""] }
    try expect(.notFound) { $0.environment["PATH"] = "/nowhere:/etc/hostname" }
  }

  @Test("a command that cannot be executed")
  func notExecutable() throws {
    try expect(.notExecutable, saying: "EACCES") { $0.words = ["/etc/passwd"] }
    try expect(.notExecutable, saying: "EISDIR") { $0.words = ["/tmp"] }
    try expect(.notExecutable) {
      $0.words = ["passwd"]
      $0.environment["PATH"] = "/etc"
    }
  }

  @Test("no_new_privs refused")
  func noNewPrivileges() throws {
    try expect(.noNewPrivileges, under: Fault(.prctl, (0, 38), EPERM), saying: "prctl: EPERM")
  }

  @Test("capabilities that stay")
  func capabilities() throws {
    try expect(.capabilities, under: Fault(.capset, nil, EPERM), saying: "capset: EPERM")
    try expect(.capabilities, under: Fault(.prctl, (0, 47), EINVAL), saying: "prctl: EINVAL")
    try expect(.capabilities, under: Fault(.capget, nil, EPERM), saying: "capget: EPERM")
    if getuid() == 0 {
      // PR_CAPBSET_READ, PR_CAPBSET_DROP: root alone has a bounding set to narrow.
      try expect(.capabilities, under: Fault(.prctl, (0, 23), EPERM), saying: "prctl: EPERM")
      try expect(.capabilities, under: Fault(.prctl, (0, 24), EPERM), saying: "prctl: EPERM")
    }
    // Success without effect is noticed.
    try expect(.capabilities, under: Fault(.capset, nil, 0))
  }

  @Test("no Landlock, where the plan does not allow that")
  func landlock() throws {
    try expect(.landlock, under: Fault(.landlock_create_ruleset, nil, ENOSYS), saying: "no Landlock")
    try expect(.landlock, under: Fault(.landlock_add_rule, nil, ENOMEM), saying: "landlock_add_rule: ENOMEM")
    try expect(
      .landlock, under: Fault(.landlock_restrict_self, nil, E2BIG), saying: "landlock_restrict_self: E2BIG"
    ) {
      $0.plan = LaunchedTree.plan(allowDegraded: true).hex
    }
  }

  @Test("no filter, or another supervisor above")
  func filter() throws {
    try expect(.filter, under: Fault(.seccomp, nil, EINVAL), saying: "seccomp: EINVAL")
    try expect(.filter, under: Fault(.seccomp, nil, EBUSY), saying: "seccomp: EBUSY")
  }

  @Test("a hand-off that does not arrive")
  func handOff() throws {
    try expect(.handOff, under: Fault(.sendmsg, nil, EPIPE), saying: "sendmsg: EPIPE")
    // CLONE_VM | CLONE_FILES | SIGCHLD: the helper.
    try expect(.handOff, under: Fault(.clone, (0, 0x511), EAGAIN), saying: "clone: EAGAIN")
  }

  @Test("no acknowledgement, or another answer")
  func acknowledgement() throws {
    try expect(.noAcknowledgement, saying: "closed", answer: { $0.hangUp() })
    try expect(.noAcknowledgement, saying: "the answer was 0", answer: { $0.say(0) })
    try expect(.noAcknowledgement, saying: "the answer was 2", answer: { $0.say(2) })
  }

  @Test("descriptors that cannot be closed")
  func descriptors() throws {
    try expect(.descriptors, under: Fault(.close_range, (0, 3), ENOSYS), saying: "close_range: ENOSYS")
    // What stays is the log, and that until execve only: FD_CLOEXEC.
    try expect(.descriptors, under: Fault(.fcntl, (1, 2), EPERM), saying: "fcntl: EPERM")
  }

  @Test("an execve that the supervisor or Landlock denies")
  func denied() throws {
    for (errno, failure) in [
      (EACCES, LaunchFailure.notExecutable), (EPERM, .notExecutable), (ENOENT, .notFound),
    ] {
      let tree = try LaunchedTree.run(.init("true")) {
        _ = $0.call == X86Call.execve.rawValue ? $0.fail(errno) : $0.passThrough()
      }
      #expect(tree.wait() == failure.rawValue)
      #expect(tree.logText.hasPrefix("agentsh-launch: " + failure.sentence + ": /usr/bin/true"))
    }
    try expect(.notExecutable, saying: "EACCES") { $0.plan = LaunchedTree.plan([.commands], []).hex }
  }

  @Test("with Landlock missing and the plan allowing it, the command runs and the log says so")
  func degraded() throws {
    var request = LaunchedTree.Request("true")
    request.plan = LaunchedTree.plan(allowDegraded: true).hex
    nonisolated(unsafe) let tree = try onThread { [request] in
      try Fault(.landlock_create_ruleset, nil, ENOSYS).install()
      return try LaunchedTree(request)
    }
    let listener = try tree.listener()
    tree.supervise(listener) { $0.passThrough() }
    #expect(tree.wait() == 0)
    #expect(tree.logText.hasPrefix("agentsh-launch: degraded: "))
  }

  @Test("on a kernel without WAIT_KILLABLE_RECV the filter goes in without it")
  func withoutWaitKillable() throws {
    nonisolated(unsafe) let tree = try onThread {
      try Fault(.seccomp, (1, 0x28), EINVAL).install()
      return try LaunchedTree(.init("true"))
    }
    let listener = try tree.listener()
    tree.supervise(listener) { $0.passThrough() }
    #expect(tree.wait() == 0)
  }

  @Test("where SIGCHLD was ignored, the hand-off works all the same")
  func ignoredChildren() throws {
    // An inner launcher: the shell ignores SIGCHLD, and what it execs inherits that.
    let ignoring = "trap '' CHLD; exec \(Programs.launcher) \"$@\""
    var pair: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, 5 | 0o2000000, 0, &pair) == 0)
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { ([null] + pair.prefix(1)).forEach { close($0) } }
    let environment = [
      LauncherVariables.plan: LaunchedTree.plan().hex!, "AGENTSH_NOTIFY_SOCK_FD": "3",
      "PATH": "/usr/bin:/bin",
    ]
    let pid = try LaunchedTree.spawn(
      ["/bin/sh", "-c", ignoring, "sh", "--", "true"], environment, [null, null, null, pair[1]], uid: nil)
    close(pair[1])
    var byte: UInt8 = 0xff
    var fds: [Int32] = [-1]
    var count: Int32 = 0
    var truncated: Int32 = 0
    #expect(clinux_receive_fds(pair[0], &byte, 1, &fds, 1, &count, &truncated) == 1)
    #expect(count == 1)
    let listener = Listener(owning: FileDescriptor(owning: fds[0]))
    byte = 1
    send(pair[0], &byte, 1, 0)
    if case .notification(let notification) = listener.receive() { notification.passThrough() }
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }
}
