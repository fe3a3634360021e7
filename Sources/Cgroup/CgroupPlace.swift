import LinuxSystem

/// Where a process's own group is, by the name that /proc gives it and by the directory that it is mounted at.
///
/// `cgroups(7)`, `/proc/PID/cgroup`; `proc_pid_mountinfo(5)`.
package enum CgroupPlace {
  private static let readLimit = 1 << 20

  /// The directory of this process's cgroup2 group; nil where there is no cgroup2, or its mount does not show the group.
  package static func own() -> String? { group(of: "self").flatMap(directory(of:)) }

  /// The cgroup2 group of a process, as `/user.slice/a.scope`; nil when the process is gone, there is no cgroup2, or the
  /// group is none of those that we see (a cgroup namespace's root is above it). Blocks shortly.
  package static func group(of pid: Int32) -> String? { group(of: String(pid)) }

  private static func group(of process: String) -> String? {
    read("/proc/\(process)/cgroup").flatMap(group(in:))
  }

  /// The directory of a group; nil where no mount shows it.
  package static func directory(of group: String) -> String? {
    (try? OwnMounts.all()).flatMap { directory(of: group[...], mounts: $0) }
  }

  /// The same as `own` from the texts of the two files.
  package static func directory(groups: String, mounts: String) -> String? {
    group(in: groups).flatMap { directory(of: $0[...], mounts: Mount.all(in: Array(mounts.utf8))) }
  }

  /// A group's name never has a newline; one that was removed has ` (deleted)` behind it, and is found nowhere.
  private static func group(in groups: String) -> String? {
    let line = groups.split(separator: "\n").first { $0.hasPrefix("0::/") }
    guard let group = line?.dropFirst(3), !group.split(separator: "/").contains("..") else { return nil }
    return String(group)
  }

  private static func directory(of group: Substring, mounts: [Mount]) -> String? {
    for mount in mounts where mount.type == "cgroup2" {
      guard let rest = below(group, root: String(decoding: mount.root, as: UTF8.self)) else { continue }
      let point = String(decoding: mount.point, as: UTF8.self)
      return rest.isEmpty ? point : (point == "/" ? "" : point) + rest
    }
    return nil
  }

  /// What follows the mount's root in the group's path, empty or with a slash before it.
  private static func below(_ group: Substring, root: String) -> Substring? {
    if root == "/" { return group == "/" ? "" : group }
    guard group.hasPrefix(root) else { return nil }
    let rest = group.dropFirst(root.count)
    return rest.isEmpty || rest.hasPrefix("/") ? rest : nil
  }

  private static func read(_ path: String) -> String? {
    guard case .success(let bytes) = readAll(path, limit: readLimit) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }
}
