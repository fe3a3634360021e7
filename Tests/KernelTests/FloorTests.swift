import AgentshWire
import CLinux
import Foundation
import Landlock
import LinuxSystem
import Seccomp
import Testing

/// What the kernel holds even when the supervisor lets everything through.
@Suite("Floor", .serialized)
struct FloorTests {
  @Test("a file outside the grants stays closed, though the supervisor lets the open through")
  func landlock() throws {
    var request = LaunchedTree.Request("cat", "/etc/hostname")
    request.plan = LaunchedTree.plan([.files, .commands], LaunchedTree.programs).hex
    let tree = try LaunchedTree.run(request)
    #expect(tree.wait() == 1)
    #expect(tree.outputText == "")
    #expect(tree.errorText.contains("/etc/hostname: Permission denied"))
  }

  @Test("what the supervisor opens for the tree is open, whatever the tree may open itself")
  func carriedOut() throws {
    var request = LaunchedTree.Request("cat", "/etc/hostname")
    request.plan = LaunchedTree.plan([.files, .commands], LaunchedTree.programs).hex
    let tree = try LaunchedTree.run(request) { notification in
      guard notification.call == X86Call.openat.rawValue,
        readText(notification.thread, notification.arguments[1]) == "/etc/hostname"
      else {
        notification.passThrough()
        return
      }
      let opened = open("/etc/hostname", O_RDONLY | O_CLOEXEC)
      notification.complete(giving: opened, closeOnExec: false)
    }
    #expect(tree.wait() == 0)
    #expect(tree.outputText == (try String(contentsOfFile: "/etc/hostname", encoding: .utf8)))
  }

  @Test("executing takes both the execute and the read right; without a grant nothing runs")
  func executing() throws {
    for (access, status): (UInt64, Int32) in [(0b1, 126), (0b100, 126), (0b101, 0)] {
      var request = LaunchedTree.Request("true")
      request.plan = LaunchedTree.plan([.commands], [.init(path: "/", access: access)]).hex
      #expect(try LaunchedTree.run(request).wait() == status)
    }
  }

  @Test("the tree makes no TCP connection itself, and signals nobody outside")
  func scope() throws {
    let victim = try Bystander()
    let tree = try LaunchedTree.run(.init("bash", "-c", "kill -9 \(victim.pid); (: > /dev/tcp/127.0.0.1/1)"))
    #expect(tree.errorText.contains("Operation not permitted"))
    #expect(victim.isAlive)
    let refusal = try LaunchedTree.run(.init("bash", "-c", "(: > /dev/tcp/127.0.0.1/1)"))
    #expect(refusal.errorText.contains("Permission denied"))
  }

  /// DECISIONS 11.
  @Test("without our filter a Landlocked process lowers the limits of one outside; with it, it does not")
  func limits() throws {
    let victim = try Bystander()
    #expect(victim.descriptorLimit > 64)
    try onThread {
      try check("prctl", rawCall(Int(SYS_prctl), 38, 1))
      try Ruleset(network: true, scope: [.signals, .abstractSockets]).restrictSelf()
      #expect(rawCall(Int(SYS_kill), Int(victim.pid), 15) == -Int(EPERM))
      var limit = rlimit(rlim_cur: 64, rlim_max: 64)
      let result = withUnsafePointer(to: &limit) {
        rawCall(Int(SYS_prlimit64), Int(victim.pid), 7, kernelAddress($0), 0)
      }
      #expect(result == 0)
    }
    #expect(victim.descriptorLimit == 64)
    for mediation: LaunchPlan.Mediation in [[.processes], []] {
      let next = try Bystander()
      let before = next.descriptorLimit
      var request = LaunchedTree.Request("prlimit", "--pid", "\(next.pid)", "--nofile=64:64")
      request.plan = LaunchedTree.plan(mediation).hex
      let tree = try LaunchedTree.run(request) { $0.fail(EPERM) }
      #expect(tree.wait() != 0)
      #expect(next.descriptorLimit == before)
    }
  }

  @Test("its own limits, priority and affinity are its own, unasked")
  func own() throws {
    var request = LaunchedTree.Request("sh", "-c", "ulimit -n 50 && nice -n 3 true && chrt --batch 0 true")
    request.plan = LaunchedTree.plan([.processes]).hex
    var asked = 0
    let tree = try LaunchedTree.run(request) {
      asked += 1
      $0.fail(EPERM)
    }
    #expect(tree.wait() == 0, "\(tree.errorText)")
    #expect(asked == 0)
  }

  @Test("root keeps the capabilities of the plan and no others; an ordinary user has none")
  func capabilities() throws {
    let keep: UInt64 = 0b1011  // CHOWN, DAC_OVERRIDE, FOWNER
    let line =
      #"while read k v; do case $k in Uid:|Cap*|NoNewPrivs:) echo $k $v;; esac; done < /proc/self/status"#
    var request = LaunchedTree.Request("sh", "-c", line)
    request.plan = LaunchedTree.plan(keep: keep).hex
    let root = try LaunchedTree.run(request)
    let held = "000000000000000b"
    let none = "0000000000000000"
    let text = root.outputText
    for expected in [
      "Uid: 0 0 0 0", "CapInh: \(none)", "CapPrm: \(held)", "CapEff: \(held)", "CapBnd: \(held)",
      "CapAmb: \(none)",
      "NoNewPrivs: 1",
    ] { #expect(text.contains(expected), "\(text)\(root.logText)") }
    request.uid = 65534
    let user = try LaunchedTree.run(request)
    let words = user.outputText
    for expected in ["Uid: 65534", "CapPrm: \(none)", "CapEff: \(none)", "CapAmb: \(none)", "NoNewPrivs: 1"] {
      #expect(words.contains(expected), "\(words)\(user.logText)")
    }
  }
}

/// A process outside the tree, of our own uid.
private final class Bystander: Sendable {
  let pid: Int32

  init() throws {
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { close(null) }
    pid = try LaunchedTree.spawn(["/bin/sleep", "60"], [:], [null, null, null], uid: nil)
  }

  var isAlive: Bool { waitpid(pid, nil, Int32(WNOHANG)) == 0 }

  var descriptorLimit: UInt64 {
    var limit = rlimit()
    withUnsafeMutablePointer(to: &limit) {
      _ = rawCall(Int(SYS_prlimit64), Int(pid), 7, 0, kernelAddress($0))
    }
    return UInt64(limit.rlim_cur)
  }

  deinit {
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }
}
