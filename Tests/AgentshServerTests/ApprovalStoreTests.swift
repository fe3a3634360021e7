import AgentshAPI
import AgentshPolicy
import AgentshSession
import AgentshWire
import Synchronization
import Testing

@Suite struct ApprovalStoreTests {
  /// A store with a clock that is set.
  private final class Fixture: Sendable {
    let now = Atomic<UInt64>(0)
    let store: ApprovalStore

    init(limit: Int = 3) {
      let box = Box()
      store = ApprovalStore(
        perOwnerLimit: limit, monotonic: { box.now() }, wall: { 1_000_000_000 + box.now() })
      box.fixture.withLock { $0 = self }
    }

    private final class Box: Sendable {
      let fixture = Mutex<Fixture?>(nil)
      func now() -> UInt64 { fixture.withLock { $0?.now.load(ordering: .relaxed) ?? 0 } }
    }

    func add(
      _ number: UInt64, owner: UInt32 = 1000, launch: UInt64 = 1, connection: Int = 1,
      milliseconds: UInt32 = 1000
    ) throws(ApprovalStore.Refusal) -> HeldCall {
      var rules = PolicyRules()
      rules.fileRules = [FileRule(name: "ask", paths: ["/x"], decision: .approve)]
      rules.fileRules[0].message = "look first"
      let session = SessionDetails(
        id: "s", ownerUID: owner, ownerGID: owner, createdAt: 1,
        workspace: Workspace(path: "/w", home: "/h", projectRoot: "/w", gitRoot: "/w"), policyName: "p",
        rules: SessionRules(rules), realPaths: false)
      let request = ApprovalRequest(
        number: number, kind: .file, milliseconds: milliseconds, pid: 9, list: RuleList.file.rawValue,
        rule: 0,
        operation: "rename", target: "/x", other: "/y", command: "mv", arguments: [])
      return try store.add(
        request, of: session, launch: LaunchID(number: launch), connection: connection)
    }
  }

  @Test func `what waits is shown with rule, message and times`() throws {
    let fixture = Fixture()
    let call = try fixture.add(1)
    #expect(
      call.view
        == WaitingApproval(
          id: call.id, createdAt: "1970-01-01T00:00:01.000000000Z",
          expiresAt: "1970-01-01T00:00:02.000000000Z",
          sessionID: "s", ownerUID: 1000, kind: "file", target: "/x", rule: "ask", message: "look first",
          fields: WaitingApproval.Fields(args: nil, command: "mv", operation: "rename", path2: "/y", pid: 9)))
    #expect(call.id.hasPrefix("approval-"))
    #expect(fixture.store.all == [call])
  }

  @Test func `of two who answer one is heard`() throws {
    let fixture = Fixture()
    let call = try fixture.add(1)
    #expect(fixture.store.take(call.id) == call)
    #expect(fixture.store.take(call.id) == nil)
    #expect(fixture.store.call(call.id) == nil && fixture.store.all.isEmpty)
  }

  @Test func `what is over is neither shown nor answered, and takes room until it is withdrawn`() throws {
    let fixture = Fixture(limit: 1)
    let call = try fixture.add(1)
    fixture.now.store(999_999_999, ordering: .relaxed)
    #expect(fixture.store.call(call.id) == call)
    fixture.now.store(1_000_000_000, ordering: .relaxed)
    #expect(fixture.store.all.isEmpty && fixture.store.call(call.id) == nil)
    #expect(fixture.store.take(call.id) == nil)
    #expect(throws: ApprovalStore.Refusal.limit) { try fixture.add(2) }
    #expect(fixture.store.withdraw(1, launch: LaunchID(number: 1), connection: 1) == call)
    _ = try fixture.add(2)
  }

  @Test func `the limit is each owner's, over all launches`() throws {
    let fixture = Fixture(limit: 2)
    _ = try fixture.add(1, launch: 1)
    _ = try fixture.add(1, launch: 2)
    #expect(throws: ApprovalStore.Refusal.limit) { try fixture.add(2, launch: 3) }
    _ = try fixture.add(1, owner: 1001, launch: 4)
  }

  @Test func `a number is asked with once`() throws {
    let fixture = Fixture()
    _ = try fixture.add(1)
    #expect(throws: ApprovalStore.Refusal.taken) { try fixture.add(1) }
    _ = try fixture.add(1, launch: 2)
  }

  @Test func `a connection that is gone takes its own and those before it, and no later ones`() throws {
    let fixture = Fixture()
    let first = try fixture.add(1, connection: 1)
    #expect(fixture.store.drop(LaunchID(number: 1), upTo: 1) == [first])
    let second = try fixture.add(1, connection: 2)
    #expect(fixture.store.drop(LaunchID(number: 1), upTo: 1).isEmpty)
    #expect(fixture.store.withdraw(1, launch: LaunchID(number: 1), connection: 1) == nil)
    #expect(fixture.store.all == [second])
    #expect(fixture.store.drop(LaunchID(number: 2), upTo: 9).isEmpty)
  }

  @Test func `who may see and answer what`() throws {
    let call = try Fixture().add(1)
    func may(_ uid: UInt32, approver: Bool, selfApprove: Bool = false) -> String {
      let rights = ApprovalRights(uid: uid, isApprover: approver, selfApprove: selfApprove)
      return (rights.sees(call) ? "s" : "-") + (rights.may(.approve, call) ? "a" : "-")
        + (rights.may(.deny, call) ? "d" : "-")
    }
    #expect(may(1000, approver: false) == "s-d")
    #expect(may(1000, approver: true) == "s-d")
    #expect(may(1000, approver: false, selfApprove: true) == "sad")
    #expect(may(1001, approver: false) == "---")
    #expect(may(1001, approver: false, selfApprove: true) == "---")
    #expect(may(1001, approver: true) == "sad")
    #expect(may(0, approver: true) == "sad")
  }
}
