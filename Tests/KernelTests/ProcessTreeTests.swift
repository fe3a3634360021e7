import AgentshWire
import CLinux
import Foundation
import LinuxSystem
import Seccomp
import Testing

/// DECISIONS 1 and 2: who starts whom, who holds what, who reads whose memory.
@Suite("Process tree", .serialized)
struct ProcessTreeTests {
  @Test(
    "the listener arrives although the filter notifies sendmsg, and the command's execve is the first call")
  func handOff() throws {
    let tree = try LaunchedTree(.init("true"))
    let listener = try tree.listener()
    #expect(Listener.isListener(listener.descriptor.number))
    var calls: [(thread: Int32, call: Int32)] = []
    tree.supervise(listener) { notification in
      calls.append((notification.thread, notification.call))
      notification.passThrough()
    }
    #expect(tree.wait() == 0)
    #expect(calls.first?.thread == tree.pid)
    #expect(calls.first?.call == X86Call.execve.rawValue)
    #expect(tree.logText == "")
  }

  @Test("the command does not start before the acknowledgement")
  func waits() throws {
    let tree = try LaunchedTree(.init("true"))
    let listener = try tree.listener()
    var entry = pollfd(fd: listener.descriptor.number, events: Int16(POLLIN), revents: 0)
    #expect(poll(&entry, 1, 200) == 0)
    tree.supervise(listener) { $0.passThrough() }
    #expect(tree.wait() == 0)
  }

  @Test(
    "the parent reads the memory of a grandchild, as root and as an ordinary user", arguments: [nil, 65534])
  func grandchild(uid: UInt32?) throws {
    let (paths, status, log) = try onThread {
      if let uid { try becomeUser(uid) }
      let tree = try LaunchedTree(.init("sh", "-c", "cat /etc/hostname; true"))
      guard let listener = tree.receiveListener() else { return ([String?](), tree.wait(), tree.logText) }
      var paths: [String?] = []
      tree.supervise(listener) { notification in
        if notification.thread != tree.pid, notification.call == X86Call.openat.rawValue {
          paths.append(readText(notification.thread, notification.arguments[1]))
        }
        notification.passThrough()
      }
      return (paths, tree.wait(), tree.logText)
    }
    #expect(status == 0, "\(log)")
    #expect(paths.contains("/etc/hostname"))
    #expect(!paths.contains(nil))
  }

  @Test("the tree inherits 0 to 2 and nothing else")
  func descriptors() throws {
    let tree = try LaunchedTree.run(.init("sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/}; done"))
    // The shell itself holds the directory that it lists while it expands, as 3.
    #expect(tree.outputText.split(separator: "\n").allSatisfy { ["0", "1", "2", "3"].contains($0) })
    #expect(tree.errorText == "")
  }

  @Test("a kept descriptor arrives, its neighbours do not")
  func kept() throws {
    let file = try #require(fopen("/etc/hostname", "r"))
    defer { fclose(file) }
    var request = LaunchedTree.Request("sh", "-c", "test -e /proc/$$/fd/5 && ! test -e /proc/$$/fd/4")
    request.extra = fileno(file)
    request.environment["AGENTSH_KEEP_FDS"] = "5"
    #expect(try LaunchedTree.run(request).wait() == 0)
    request.environment["AGENTSH_KEEP_FDS"] = nil
    #expect(try LaunchedTree.run(request).wait() == 1)
  }

  @Test("the launcher's own variables are gone, the others are there to the byte")
  func environment() throws {
    var request = LaunchedTree.Request("env")
    request.environment["AGENTSH_KEEP_FDS"] = ""
    request.environment["AGENTSH_SIGNAL_SOCK_FD"] = "9"
    request.environment["AGENTSH_NOTIFY_SOCK_FDX"] = "stays"
    request.environment["EMPTY"] = ""
    let lines = Set(try LaunchedTree.run(request).outputText.split(separator: "\n"))
    #expect(lines == ["PATH=/usr/local/bin:/usr/bin:/bin", "AGENTSH_NOTIFY_SOCK_FDX=stays", "EMPTY="])
  }

  @Test("when the supervisor is gone, notified calls fail: nothing runs unmediated")
  func supervisorGone() throws {
    let tree = try LaunchedTree(.init("sh", "-c", "sleep 1; cat /etc/hostname"))
    do {
      let listener = try tree.listener()
      tree.say(1)
      // The shell's own start: answered. Then the listener goes.
      for _ in 0..<4 {
        if case .notification(let notification) = listener.receive() { notification.passThrough() }
      }
    }
    #expect(tree.wait() != 0)
    #expect(tree.outputText == "")
  }
}

/// This thread alone. `setresuid(2)` by raw calls.
func becomeUser(_ uid: UInt32) throws {
  let id = Int(uid)
  try check("setgroups", rawCall(Int(SYS_setgroups), 0, 0))
  try check("setresgid", rawCall(Int(SYS_setresgid), id, id, id))
  try check("setresuid", rawCall(Int(SYS_setresuid), id, id, id))
}
