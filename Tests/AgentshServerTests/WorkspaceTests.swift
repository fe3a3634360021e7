import AgentshConfig
import AgentshSession
import Testing

@Suite struct WorkspaceTests {
  @Test(arguments: [
    ("/srv/a", "/srv/a", true), ("/srv/a/b", "/srv/a", true), ("/srv/ab", "/srv/a", false),
    ("/srv", "/srv/a", false),
    ("/", "/", true), ("/srv", "/", true), ("/", "/srv", false),
    ("/srv/caf\u{e9}/w", "/srv/caf\u{e9}", true), ("/srv/cafe\u{301}/w", "/srv/caf\u{e9}", false),
    ("/srv/cafe\u{301}", "/srv/caf\u{e9}", false), ("/srv/a/\u{301}w", "/srv/a", true),
  ]) func `a workspace lies below a root by its bytes`(path: String, root: String, holds: Bool) {
    #expect(path.isWithin(root) == holds)
  }
}
