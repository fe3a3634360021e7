import AgentshWire
import Testing

/// What the supervisor writes beside a file that was deleted softly, and the command line reads.
@Suite struct TrashEntryTests {
  @Test func `what is written is read`() {
    // Every byte that a name may have, a line's end and a percent sign among them.
    let path = [UInt8(ascii: "/")] + (1...255).map { UInt8($0) }
    let entry = TrashEntry(path: path, deleted: 1_764_450_000, session: "session-1", rule: "keep\nit = 100%")
    #expect(TrashEntry(text: Array(entry.text.utf8)) == entry)
    #expect(entry.text.split(separator: "\n").count == 5)
  }

  private static let whole = "agentsh trash 1\npath=/a\ndeleted=7\nsession=s\nrule=r\n"

  @Test func `the sample is whole`() {
    #expect(TrashEntry(text: Array(Self.whole.utf8))?.path == Array("/a".utf8))
  }

  @Test(
    arguments: [
      "", "agentsh trash 2\npath=/a\ndeleted=7\nsession=s\nrule=r\n", "agentsh trash 1\npath=/a\n",
      "agentsh trash 1\npath=a\ndeleted=7\nsession=s\nrule=r\n",
      "agentsh trash 1\npath=/a%00b\ndeleted=7\nsession=s\nrule=r\n",
      "agentsh trash 1\npath=/a%4\ndeleted=7\nsession=s\nrule=r\n",
      "agentsh trash 1\npath=/a b\ndeleted=7\nsession=s\nrule=r\n",
      "agentsh trash 1\npath=/a\ndeleted=-7\nsession=s\nrule=r\n",
      "agentsh trash 1\ndeleted=7\npath=/a\nsession=s\nrule=r\n",
      whole + "more\n", String(whole.dropLast()),
    ])
  func `anything else is none`(text: String) {
    #expect(TrashEntry(text: Array(text.utf8)) == nil)
  }

  @Test func `the directories of a session`() {
    #expect(
      TrashEntry.directories(home: "/home/u", workspace: "/")
        == ["/home/u/.local/state/agentsh/trash", "/.agentsh_trash"])
  }
}
