/// PROJECT_ROOT and GIT_ROOT of a workspace.
package struct ProjectRoots: Sendable, Equatable {
  package let project: String
  package let git: String

  package static let marks = [
    ".git", "go.mod", "package.json", "Cargo.toml", "pyproject.toml", "Package.swift",
  ]

  /// Looks at and above the workspace for the nearest directory with a mark; the workspace itself when there is none.
  ///
  /// The search stops below the home directory and below `/`: a repository of dotfiles in the home directory does not
  /// make all of it a project, unless it is the workspace itself.
  /// - Parameters:
  ///   - workspace: canonical and absolute.
  ///   - home: canonical and absolute.
  ///   - holds: whether the directory (first) has an entry of that name (second).
  package init(workspace: String, home: String, holds: (String, String) -> Bool) {
    var candidates: [String] = []
    var path = workspace[...]
    while path.utf8.count > 1 {
      if !path.isSame(as: workspace), home.isWithin(String(path)) { break }
      candidates.append(String(path))
      guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { break }
      path = path[..<slash]
    }
    let project = candidates.first { directory in Self.marks.contains { holds(directory, $0) } } ?? workspace
    self.project = project
    git = candidates.first { holds($0, ".git") } ?? project
  }

  /// As above, on the real file system with the rights of the process. Links at the end count as present.
  package init(workspace: String, home: String) {
    self.init(workspace: workspace, home: home) { exists($0 + "/" + $1) }
  }
}
