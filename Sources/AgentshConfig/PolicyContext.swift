/// What a policy's variables and the `/workspace` alias stand for in one session. A value; nothing is looked up.
package struct PolicyContext: Sendable, Equatable {
  /// The session's workspace, canonical.
  package var workspace: String
  /// From the user database, canonical.
  package var home: String
  package var projectRoot: String
  package var gitRoot: String
  /// The operator's own, from the server's configuration.
  package var variables: [String: String]
  /// `/workspace` is a directory like any other.
  package var realPaths: Bool
  /// Directories of the system that are links, and what they are (`/bin` → `/usr/bin`, `/var/run` → `/run`): a pattern
  /// below the link holds for the canonical name too. Only links that root alone can change belong here.
  package var systemLinks: [String: String]

  package static let builtInVariables = ["PROJECT_ROOT", "GIT_ROOT", "HOME", "WORKSPACE"]

  /// The links of a merged-usr Debian or Ubuntu.
  package static let debianLinks = [
    "/bin": "/usr/bin", "/sbin": "/usr/sbin", "/lib": "/usr/lib", "/lib32": "/usr/lib32",
    "/lib64": "/usr/lib64",
    "/libx32": "/usr/libx32", "/var/run": "/run", "/var/lock": "/run/lock",
  ]

  package init(
    workspace: String, home: String, projectRoot: String? = nil, gitRoot: String? = nil,
    variables: [String: String] = [:], realPaths: Bool = false, systemLinks: [String: String] = debianLinks
  ) {
    self.workspace = workspace
    self.home = home
    self.projectRoot = projectRoot ?? workspace
    self.gitRoot = gitRoot ?? projectRoot ?? workspace
    self.variables = variables
    self.realPaths = realPaths
    self.systemLinks = systemLinks
  }

  /// The value of a variable; nil when there is none.
  package func value(of name: String) -> String? {
    switch name {
    case "PROJECT_ROOT": projectRoot
    case "GIT_ROOT": gitRoot
    case "HOME": home
    case "WORKSPACE": workspace
    default: variables[name]
    }
  }
}
