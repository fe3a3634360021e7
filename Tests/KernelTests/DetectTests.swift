import CLinux
import Foundation
import LinuxSystem
import Seccomp
import Testing

/// `agentsh-supervisor --detect` tells what works, and where it does not, which call said so.
@Suite("Detection", .serialized)
struct DetectTests {
  private struct Status: Decodable {
    let name: String
    let available: Bool
    let detail: String
  }

  private func detect(under fault: Fault? = nil, uid: UInt32? = nil) throws -> [String: Status] {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let pid = try onThread { [ends] in
      try fault?.install()
      let null = open("/dev/null", O_RDWR | O_CLOEXEC)
      defer { close(null) }
      return try LaunchedTree.spawn([Programs.supervisor, "--detect"], [:], [null, ends[1], null], uid: uid)
    }
    close(ends[1])
    let text = try FileHandle(fileDescriptor: ends[0], closeOnDealloc: true).readToEnd() ?? Data()
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    #expect(status == 0)
    let all = try text.split(separator: 0x0a).map { try JSONDecoder().decode(Status.self, from: $0) }
    return Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
  }

  @Test("what a session needs is there, for root and for an ordinary user", arguments: [nil, 65534])
  func needed(uid: UInt32?) throws {
    let found = try detect(uid: uid)
    for name in [
      "seccomp_notify", "read_memory", "add_descriptor", "take_descriptor", "ptrace", "landlock", "proc",
    ] {
      #expect(found[name]?.available == true, "\(name): \(found[name]?.detail ?? "missing")")
    }
  }

  @Test("a mechanism that is refused is named, with the call and the errno")
  func refused() throws {
    let examples: [(Fault, String, String)] = [
      (Fault(.seccomp, (0, 1), EPERM), "seccomp_notify", "the filter was refused: EPERM"),
      (Fault(.seccomp, (0, 3), EINVAL), "seccomp_notify", "no seccomp notification"),
      (Fault(.ioctl, (1, 0xc050_2100), EPERM), "seccomp_notify", "receiving on it failed"),
      (Fault(.ioctl, (1, 0x4018_2103), EINVAL), "add_descriptor", "SECCOMP_IOCTL_NOTIF_ADDFD: EINVAL"),
      (Fault(.process_vm_readv, nil, EPERM), "read_memory", "process_vm_readv: EPERM"),
      (Fault(.pidfd_getfd, nil, EPERM), "take_descriptor", "pidfd_getfd: EPERM"),
      (Fault(.ptrace, nil, EPERM), "ptrace", "ptrace: EPERM"),
      (Fault(.landlock_create_ruleset, nil, EOPNOTSUPP), "landlock", "no Landlock"),
      (Fault(.landlock_restrict_self, nil, EPERM), "landlock", "a restriction was refused: EPERM"),
      (Fault(.landlock_restrict_self, nil, 0), "landlock", "had no effect"),
    ]
    for (fault, name, words) in examples {
      let found = try detect(under: fault)
      let status = try #require(found[name])
      #expect(!status.available)
      #expect(status.detail.contains(words), "\(status.detail)")
    }
  }

  @Test("detection leaves nothing behind")
  func clean() throws {
    _ = try detect()
    let groups = try? FileManager.default.contentsOfDirectory(atPath: "/sys/fs/cgroup/unified")
    #expect(groups?.contains { $0.hasPrefix("agentsh-detect") } != true)
  }
}
