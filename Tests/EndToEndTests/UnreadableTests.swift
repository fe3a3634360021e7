import Foundation
import Harness
import Testing

/// Callers whose memory cannot be read, or says nothing.
@Suite(.serialized) struct UnreadableTests {
  @Test(arguments: Caller.allCases) func `a program cannot make itself unreadable, and is told that it did`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let program = try place.install("memory")
    let file = try place.write("x", to: place.workspace + "/file")
    let bare = try place.run([program, "dumpable", file])
    try #require(bare.output == "set: done\ndumpable: 0\nopen: done\n", "\(bare)")
    let inside = try place.wrap([program, "dumpable", file])
    #expect(inside.output == "set: done\ndumpable: 1\nopen: done\n", "\(inside)")
  }

  /// Its process would be unreadable for an equal: nothing that it does could be decided. Root reads everything.
  @Test(arguments: ["all", "one"]) func `what may be run and not read is refused, and the event says why`(
    denied: String
  ) throws {
    let place = try Place(as: .user)
    let sealed = place.outside + "/sealed"
    let made = try Programs.run(["/usr/bin/install", "-m", "0711", "-o", "0", "-g", "0", "/bin/true", sealed])
    try #require(made.succeeded, "\(made)")
    try #require(place.run([sealed]).succeeded)
    // One policy that tells commands apart, and one that does not.
    let policy =
      denied == "all"
      ? try place.allowAll
      : try place.policy(
        """
        file_rules: [{name: files, paths: ["/", "/**"], operations: ["*"], decision: allow}]
        command_rules:
          - {name: none-such, commands: [no-such-command], decision: deny}
          - {name: rest, commands: ["*"], decision: allow}
        """)
    let first = try place.wrap([sealed], policy: policy)
    #expect(first.status == 126, "\(first)")
    let inner = try place.wrap(["sh", "-c", "\(sealed); echo $?"], policy: policy)
    #expect(inner.output == "126\n", "\(inner)")
    let events = try place.events(["--decision", "deny"])
    #expect(events.count == 2)
    for event in events {
      let fields = event["fields"] as? [String: Any]
      #expect(event["path"] as? String == sealed)
      #expect((fields?["reason"] as? String)?.contains("run but not read") == true, "\(event)")
    }
  }

  @Test(arguments: Caller.allCases) func `pointers to nothing are answered as the kernel answers them`(
    caller: Caller
  ) throws {
    let place = try Place(as: caller)
    let program = try place.install("memory")
    let bare = try place.run([program, "pointers"])
    try #require(bare.succeeded && bare.output.contains("open nowhere: EFAULT"), "\(bare)")
    let telling = try place.policy(
      """
      file_rules: [{name: files, paths: ["/", "/**"], operations: ["*"], decision: allow}]
      command_rules:
        - {name: none-such, commands: [no-such-command], decision: deny}
        - {name: rest, commands: ["*"], decision: allow}
      network_rules: [{name: all-hosts, domains: ["*"], decision: allow}]
      unix_socket_rules: [{name: all-sockets, paths: ["**"], decision: allow}]
      """)
    for policy in [try place.allowAll, telling] {
      let inside = try place.wrap([program, "pointers"], policy: policy)
      #expect(inside.succeeded, "\(inside)")
      let expected = bare.output.split(separator: "\n")
      let got = inside.output.split(separator: "\n")
      #expect(expected.count == got.count)
      for (line, answer) in zip(expected, got) where line != answer {
        Issue.record("bare:   \(line)\ninside: \(answer)")
      }
    }
  }
}
