import Foundation
import Harness
import Testing

/// Where the machine, or the container around us, lacks what enforcement needs: nothing runs, and the person is told what
/// is missing. `Tests/fixtures/refuse.c` plays the container.
@Suite(.serialized) struct MissingMechanismTests {
  /// What is refused, and the words that name it in `wrap` and in `detect`.
  struct Lack: Sendable, CustomTestStringConvertible {
    let refused: String
    let wrapSays: String
    let mechanism: String
    let detectSays: String
    var testDescription: String { refused }
  }

  static let lacks = [
    Lack(refused: "seccomp:1", wrapSays: "seccomp: EPERM", mechanism: "seccomp_notify", detectSays: "EPERM"),
    Lack(
      refused: "seccomp:38", wrapSays: "seccomp: ENOSYS", mechanism: "seccomp_notify", detectSays: "ENOSYS"),
    // NEW_LISTENER alone, with WAIT_KILLABLE_RECV.
    Lack(
      refused: "seccomp/1=0x28:1", wrapSays: "seccomp: EPERM", mechanism: "seccomp_notify",
      detectSays: "EPERM"),
    Lack(
      refused: "seccomp/0=3:38", wrapSays: "seccomp: ENOSYS", mechanism: "seccomp_notify",
      detectSays: "ENOSYS"),
    // Somebody above us supervises already.
    Lack(
      refused: "listener", wrapSays: "seccomp: EBUSY", mechanism: "seccomp_notify", detectSays: "EBUSY"),
    Lack(
      refused: "ioctl/1=0xc0502100:1", wrapSays: "SECCOMP_IOCTL_NOTIF_RECV: EPERM",
      mechanism: "seccomp_notify", detectSays: "receiving on it failed"),
    Lack(
      refused: "ioctl/1=0x40182103:22", wrapSays: "SECCOMP_IOCTL_NOTIF_ADDFD: EINVAL",
      mechanism: "add_descriptor", detectSays: "SECCOMP_IOCTL_NOTIF_ADDFD: EINVAL"),
    Lack(
      refused: "pidfd_getfd:1", wrapSays: "pidfd_getfd: EPERM", mechanism: "take_descriptor",
      detectSays: "pidfd_getfd: EPERM"),
    Lack(
      refused: "process_vm_readv:1", wrapSays: "memory could not be read (EPERM", mechanism: "read_memory",
      detectSays: "process_vm_readv: EPERM"),
    Lack(
      refused: "ptrace:1", wrapSays: "ptrace: EPERM", mechanism: "ptrace", detectSays: "ptrace: EPERM"),
    Lack(
      refused: "landlock_create_ruleset:38", wrapSays: "no Landlock", mechanism: "landlock",
      detectSays: "no Landlock"),
  ]

  @Test(arguments: lacks, Caller.allCases) func `wrap refuses, and detect says what is missing`(
    lack: Lack, caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    let agentsh = try Programs.agentsh()
    let under = [refuse, lack.refused, "--", agentsh]

    let wrapped = try place.run(under + ["wrap", "--", "touch", "ran"], timeout: .seconds(20))
    #expect(wrapped.status == 125 && !wrapped.timedOut, "\(wrapped)")
    #expect(wrapped.errors.contains(lack.wrapSays), "\(wrapped)")
    #expect(!place.exists(place.workspace + "/ran"))
    // The launcher, told to give up, ends by itself; it may do so a moment after us.
    #expect(
      eventually { place.processes().allSatisfy { $0.name == "agentshd" } },
      "left behind: \(place.processes())")

    let text = try place.run(under + ["detect"])
    let line = text.output.split(separator: "\n").first { $0.hasPrefix(lack.mechanism + " ") } ?? ""
    #expect(line.contains(" no ") && line.contains(lack.detectSays), "\(text)")
    let json = try place.run(under + ["detect", "--json"])
    let found = try #require(try Self.capabilities(json)[lack.mechanism], "\(json)")
    #expect(found.available == false && found.detail.contains(lack.detectSays), "\(found)")
  }

  /// The floor can be done without where somebody says so; being asked cannot.
  @Test(arguments: Caller.allCases) func `with allow-degraded it runs without Landlock, and says so once`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    try place.write("secret", to: place.outside + "/s")
    let policy = try place.policy(
      """
      file_rules:
        - {name: no-secret, paths: ["\(place.outside)/**"], operations: ["*"], decision: deny}
        - {name: rest, paths: ["/", "/**"], operations: ["*"], decision: allow}
      command_rules: [{name: all, commands: ["*"], decision: allow}]
      """)
    let wrap = try place.wrapping(
      ["sh", "-c", "echo ran; cat \(place.outside)/s"], policy: policy,
      options: ["--quiet", "--allow-degraded"])
    let degraded = try place.run([refuse, "landlock_create_ruleset:38", "--"] + wrap)
    #expect(degraded.output == "ran\n", "\(degraded)")
    #expect(degraded.errors.contains("\(place.outside)/s: Permission denied"), "\(degraded)")
    let said = degraded.errors.split(separator: "\n").filter { $0.contains("not enforced") }
    #expect(said.count == 1 && said[0].contains("no Landlock"), "\(degraded)")
    let recorded = try place.events().contains { event in
      let missing = (event["fields"] as? [String: Any])?["degraded"] as? [String] ?? []
      return missing.contains { $0.contains("no Landlock") }
    }
    #expect(recorded, "no event says what was not enforced")
  }

  /// As in many a container: without it nobody is born in a control group.
  @Test(arguments: Caller.allCases) func `a filter around us without clone3 hinders nothing`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    let wrap = try place.wrapping(["sh", "-c", "echo ran; exit 7"], policy: place.allowAll)
    let outcome = try place.run([refuse, "clone3:38", "--"] + wrap, timeout: .seconds(20))
    #expect(outcome.output == "ran\n" && outcome.errors.isEmpty && outcome.status == 7, "\(outcome)")
  }

  @Test(arguments: ["seccomp:1", "listener", "ioctl/1=0xc0502100:1", "pidfd_getfd:1"], Caller.allCases)
  func `allow-degraded does not do without being asked`(refused: String, caller: Caller) throws {
    let place = try Place(as: caller)
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    let wrap = try place.wrapping(["touch", "ran"], policy: nil, options: ["--allow-degraded"])
    let outcome = try place.run([refuse, refused, "--"] + wrap, timeout: .seconds(20))
    #expect(outcome.status == 125, "\(outcome)")
    #expect(!place.exists(place.workspace + "/ran"))
  }

  /// The policy `allow-all-record` tells no commands apart, so that nothing needs ptrace.
  @Test(arguments: Caller.allCases) func `what the policy does not need may be missing`(caller: Caller) throws
  {
    let place = try Place(as: caller)
    let refuse = try place.install("refuse", at: place.directory + "/refuse")
    let wrap = try place.wrapping(["echo", "ran"], policy: place.allowAll, options: ["--quiet"])
    let outcome = try place.run([refuse, "ptrace:1", "--"] + wrap)
    #expect(outcome.output == "ran\n", "\(outcome)")
  }

  @Test(arguments: Caller.allCases) func `without proc nothing is run, and that is said`(caller: Caller)
    throws
  {
    let place = try Place(as: caller)
    // A daemon that was started where there is one does not help.
    try #require(place.wrap(["true"]).succeeded)
    try place.mountPrivately("mount -t tmpfs none /proc")
    for words in [["wrap", "--", "touch", "ran"], ["detect"], ["server"]] {
      let outcome = try place.agentsh(words, timeout: .seconds(10))
      #expect(outcome.status == 125, "\(words): \(outcome)")
      #expect(outcome.errors.contains("/proc is not mounted"), "\(words): \(outcome)")
    }
    let programs = try Programs.directory.get()
    for program in Programs.names.dropFirst() {
      let outcome = try place.run([programs + "/" + program, "--", "touch", "ran"], timeout: .seconds(10))
      #expect(outcome.status == 125 && outcome.errors.contains("/proc is not mounted"), "\(outcome)")
    }
    #expect(!place.exists(place.workspace + "/ran"))
  }

  /// Numbers of another pid namespace name other processes, or none.
  @Test(arguments: Caller.allCases) func `with another namespace's proc nothing is run`(caller: Caller) throws
  {
    let place = try Place(as: caller)
    let words = try ["/usr/bin/unshare", "--pid", "--fork"] + place.wrapping(["touch", "ran"], policy: nil)
    let user = ["/usr/bin/unshare", "--user", "--map-root-user", "--pid", "--fork"] + words.dropFirst(3)
    let outcome = try place.run(caller == .root ? words : user, timeout: .seconds(20))
    #expect(outcome.status == 125, "\(outcome)")
    #expect(outcome.errors.contains("pid namespace"), "\(outcome)")
    #expect(!place.exists(place.workspace + "/ran"))
  }

  private struct Report: Decodable {
    struct Capability: Decodable {
      let name: String
      let available: Bool
      let detail: String
    }
    let capabilities: [Capability]
  }

  private static func capabilities(_ outcome: Outcome) throws -> [String: Report.Capability] {
    let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    return Dictionary(uniqueKeysWithValues: report.capabilities.map { ($0.name, $0) })
  }
}
