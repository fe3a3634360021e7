import AgentshConfig
import AgentshPolicy
import Testing

private func paths(_ pattern: String, _ context: PolicyContext) throws -> [String] {
  let text = "version: 1\nname: t\nfile_rules:\n  - {name: a, paths: ['\(pattern)'], decision: deny}"
  let loaded = try LoadedPolicy(yaml: Array(text.utf8), file: "p", context: context, allowUnenforced: false)
  return try #require(loaded.rules.fileRules.first).paths
}

@Suite struct PolicyContextTests {
  private let context = PolicyContext(
    workspace: "/w", home: "/home/u", projectRoot: "/pr", gitRoot: "/gr",
    variables: ["DATA": "/srv/data", "EMPTY": ""])

  @Test(arguments: [
    ("${WORKSPACE}/x", "/w/x"), ("${HOME}/.ssh/**", "/home/u/.ssh/**"), ("${PROJECT_ROOT}", "/pr"),
    ("${GIT_ROOT}/**", "/gr/**"), ("${DATA}/x", "/srv/data/x"), ("${NOPE:-/opt}/x", "/opt/x"),
    ("${EMPTY:-/opt}/x", "/opt/x"), ("{${HOME},/root}/.ssh", "{/home/u,/root}/.ssh"), ("/a$b/$", "/a$b/$"),
  ])
  func `variables are replaced in paths`(pattern: String, expanded: String) throws {
    #expect(try paths(pattern, context) == [expanded])
  }

  @Test(arguments: [
    ("/workspace", "/w"), ("/workspace/x/**", "/w/x/**"), ("/workspaces/x", "/workspaces/x"),
    ("/a/workspace", "/a/workspace"),
  ])
  func `workspace at the start stands for the session's`(pattern: String, expanded: String) throws {
    #expect(try paths(pattern, context) == [expanded])
  }

  @Test func `real paths switch the alias off`() throws {
    let real = PolicyContext(workspace: "/w", home: "/h", realPaths: true)
    #expect(try paths("/workspace/x", real) == ["/workspace/x"])
  }

  @Test func `a value is data and no pattern`() throws {
    let odd = PolicyContext(workspace: "/w/*/{a,b}[c]?", home: "/h")
    #expect(try paths("${WORKSPACE}/**", odd) == ["/w/\\*/\\{a\\,b\\}\\[c\\]\\?/**"])
    #expect(try paths("/workspace/x", odd) == ["/w/\\*/\\{a\\,b\\}\\[c\\]\\?/x"])
  }

  @Test func `the root directory as a value makes no double slash`() throws {
    let root = PolicyContext(workspace: "/", home: "/")
    #expect(try paths("${WORKSPACE}/**", root) == ["/**"])
    #expect(try paths("${WORKSPACE}", root) == ["/"])
    #expect(try paths("/workspace/x", root) == ["/x"])
  }

  @Test func `below a link of the system the canonical name counts too`() throws {
    #expect(try paths("/var/run/docker.sock", context) == ["/var/run/docker.sock", "/run/docker.sock"])
    #expect(try paths("/bin/**", context) == ["/bin/**", "/usr/bin/**"])
    #expect(try paths("/binary", context) == ["/binary"])
  }

  @Test func `the project is the nearest directory with a mark`() {
    func roots(_ workspace: String, _ files: Set<String>) -> ProjectRoots {
      ProjectRoots(workspace: workspace, home: "/home/u") { files.contains($0 + "/" + $1) }
    }
    #expect(roots("/home/u/p/a", ["/home/u/p/.git", "/home/u/p/a/go.mod"]).project == "/home/u/p/a")
    #expect(roots("/home/u/p/a", ["/home/u/p/.git", "/home/u/p/a/go.mod"]).git == "/home/u/p")
    #expect(roots("/home/u/p/a", ["/home/u/p/package.json"]).git == "/home/u/p")
    #expect(roots("/home/u/p/a", []).project == "/home/u/p/a")
    #expect(roots("/srv/x/y", ["/srv/.git"]).git == "/srv")
    #expect(roots("/srv/\u{301}p/src", ["/srv/\u{301}p/.git"]).project == "/srv/\u{301}p")
  }

  @Test func `dotfiles in the home do not make all of it a project`() {
    let found = ProjectRoots(workspace: "/home/u/p", home: "/home/u") { path, _ in path == "/home/u" }
    #expect(found.project == "/home/u/p")
    let above = ProjectRoots(workspace: "/home/u/p", home: "/home/u") { path, _ in path == "/home" }
    #expect(above.project == "/home/u/p")
    let own = ProjectRoots(workspace: "/home/u", home: "/home/u") { path, name in
      path == "/home/u" && name == ".git"
    }
    #expect(own.git == "/home/u")
  }
}
