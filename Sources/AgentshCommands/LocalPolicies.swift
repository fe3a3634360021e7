import AgentshClient
import AgentshConfig
import CLinux
import FoundationEssentials
import LinuxSystem

/// Policies as this user's own daemon would load them, without asking it.
struct LocalPolicies {
  let directories: [String]
  let policyContext: PolicyContext

  /// - Parameter root: the workspace that the policy's variables stand for.
  init(_ context: ProcessContext, root: String?) throws(CommandFailure) {
    let account: Account
    do throws(ClientError) { account = try .current(homeVariable: context.value(of: "HOME")) } catch {
      throw CommandFailure(error)
    }
    let locations: Locations
    do throws(LocationError) {
      let all = try Locations.candidates(
        uid: account.uid, home: account.home, runtimeVariable: context.value(of: "XDG_RUNTIME_DIR"))
      guard let first = all.first else { throw .notAbsolute(what: "home directory", account.home) }
      locations = first
    } catch { throw CommandFailure("\(error)") }
    let config: ServerConfig
    do throws(LoadFailure) { config = try ServerConfig(file: locations.configFile, optional: true) } catch {
      throw CommandFailure("\(error)")
    }
    directories = config.policyDirectory.map { [$0] } ?? locations.policyDirectories
    let workspace = try Self.canonical(root.map(context.absolute) ?? context.directory)
    let home = (try? Self.canonical(account.home)) ?? account.home
    let roots = ProjectRoots(workspace: workspace, home: home)
    policyContext = PolicyContext(
      workspace: workspace, home: home, projectRoot: roots.project, gitRoot: roots.git,
      variables: config.variables)
  }

  /// Names that `--policy` takes, with the file of each; nil for what is built in. A name counts once, the first.
  func names() -> [(name: String, file: String?)] {
    var found: [(name: String, file: String?)] = []
    for directory in directories {
      let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
      for entry in entries.sorted() {
        guard let ending = [".yaml", ".yml"].first(where: { entry.hasSuffix($0) }) else { continue }
        let name = String(entry.dropLast(ending.utf8.count))
        guard isPolicyName(name), !found.contains(where: { $0.name == name }) else { continue }
        found.append((name, directory + "/" + entry))
      }
    }
    if !found.contains(where: { $0.name == PolicyLibrary.defaultName }) {
      found.append((PolicyLibrary.defaultName, nil))
    }
    return found.sorted { $0.name < $1.name }
  }

  /// The directory's own name, links resolved. Throws when it is not one, or not ours to look into.
  private static func canonical(_ path: String) throws(CommandFailure) -> String {
    let opened = openAt(AT_FDCWD, PathText(path), flags: O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw CommandFailure("\(path): \(errnoText(Int32(-opened)))") }
    let directory = FileDescriptor(owning: Int32(opened))
    guard let name = readLink("/proc/self/fd/\(directory.number)"), name.hasPrefix("/") else {
      throw CommandFailure("\(path) has no name here")
    }
    return name
  }
}
