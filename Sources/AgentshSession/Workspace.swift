package import AgentshAPI
import AgentshConfig
import AgentshPolicy
import CLinux
import LinuxSystem

/// Where a session works, looked at with the caller's own rights.
package struct Workspace: Sendable, Equatable {
  /// Canonical.
  package let path: String
  /// From the user database, canonical where it exists.
  package let home: String
  package let projectRoot: String
  package let gitRoot: String

  package init(path: String, home: String, projectRoot: String, gitRoot: String) {
    self.path = path
    self.home = home
    self.projectRoot = projectRoot
    self.gitRoot = gitRoot
  }

  /// Looks; blocks. Call it on a thread that is given up afterwards: where the caller is not us, the thread takes the
  /// caller's rights to files.
  package static func examine(
    _ request: CreateSessionRequest, user: UserEntry, roots: [String]
  ) throws(SessionError) -> Workspace {
    if user.uid != currentUser() {
      do throws(SystemCallError) { try takeFileRights(of: user) } catch {
        throw .workspace("the workspace cannot be looked at with the rights of uid \(user.uid): \(error)")
      }
    }
    let path = try canonicalDirectory(request.workspace, "workspace")
    if !roots.isEmpty, !roots.contains(where: { path.isWithin($0) }) {
      throw .workspace(
        "workspace \(path) is outside of what this server allows",
        hint: "it allows \(roots.joined(separator: ", "))")
    }
    let home = (try? canonicalDirectory(user.home, "home directory", flags: O_PATH)) ?? user.home
    let (project, git) = try projectRoots(request, path, home)
    return Workspace(path: path, home: home, projectRoot: project, gitRoot: git)
  }

  private static func projectRoots(
    _ request: CreateSessionRequest, _ path: String, _ home: String
  ) throws(SessionError) -> (String, String) {
    if let given = request.projectRoot, !given.isEmpty {
      let root = try canonicalDirectory(given, "project_root", flags: O_PATH)
      guard path.isWithin(root) else {
        throw .workspace("workspace \(path) does not lie in project_root \(root)")
      }
      return (root, root)
    }
    if request.detectProjectRoot == false { return (path, path) }
    let found = ProjectRoots(workspace: path, home: home)
    return (found.project, found.git)
  }

  /// Opens the directory (read rights are asked for) and lets the kernel say its name.
  static func canonicalDirectory(
    _ path: String, _ what: String, flags: Int32 = O_RDONLY
  ) throws(SessionError) -> String {
    guard path.begins(with: "/") else { throw .workspace("\(what) is not an absolute path: \"\(path)\"") }
    guard !path.utf8.contains(0) else { throw .workspace("\(what) has a NUL in it") }
    let opened = openAt(AT_FDCWD, PathText(path), flags: flags | O_DIRECTORY | O_CLOEXEC | O_NOCTTY)
    guard opened >= 0 else { throw .workspace("\(what) \(path) \(cause(Int32(-opened)))") }
    let directory = FileDescriptor(owning: Int32(opened))
    var target = PathText()
    let length = readLinkAt(AT_FDCWD, PathText("/proc/self/fd/\(directory.number)"), into: &target)
    guard length > 0, !target.isTooLong else {
      throw .failed("\(what) \(path): its name cannot be found (is /proc mounted?)")
    }
    let name = target.text
    guard name.hasPrefix("/"), Array(name.utf8) == Array(target.bytes), !name.hasSuffix(" (deleted)") else {
      throw .workspace("\(what) \(path) has no name that can be used (deleted, or not UTF-8)")
    }
    return name
  }

  private static func cause(_ errno: Int32) -> String {
    switch errno {
    case ENOENT: "does not exist"
    case ENOTDIR: "is not a directory"
    case EACCES, EPERM: "cannot be read by you"
    case ELOOP: "goes through too many links"
    case ENAMETOOLONG: "is too long a path"
    default: "cannot be opened: \(errnoText(errno))"
    }
  }
}
