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
    let candidates = workspace.upwards.enumerated().prefix { step, path in
      path != "/" && (step == 0 || !home.isWithin(path))
    }.map(\.element)
    let project = candidates.first { directory in Self.marks.contains { holds(directory, $0) } } ?? workspace
    self.project = project
    git = candidates.first { holds($0, ".git") } ?? project
  }

  /// As above, on the real file system with the rights of the process. Links at the end count as present.
  package init(workspace: String, home: String) {
    self.init(workspace: workspace, home: home) { exists($0 + "/" + $1) }
  }
}
