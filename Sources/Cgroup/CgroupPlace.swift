import LinuxSystem

/// Where this process's own group is mounted.
///
/// `cgroups(7)`, `/proc/PID/cgroup`; `proc_pid_mountinfo(5)`.
package enum CgroupPlace {
  private static let readLimit = 1 << 20

  /// The directory of this process's cgroup2 group; nil where there is no cgroup2, or its mount does not show the group.
  package static func own() -> String? {
    guard let groups = read("/proc/self/cgroup"), let mounts = read("/proc/self/mountinfo") else {
      return nil
    }
    return directory(groups: groups, mounts: mounts)
  }

  /// The same from the texts of the two files.
  package static func directory(groups: String, mounts: String) -> String? {
    guard let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
    let group = line.dropFirst(3)
    for mount in Mount.all(in: mounts) where mount.type == "cgroup2" {
      guard let rest = below(group, root: mount.root) else { continue }
      let point = String(decoding: mount.point, as: UTF8.self)
      return rest.isEmpty ? point : (point == "/" ? "" : point) + rest
    }
    return nil
  }

  /// What follows the mount's root in the group's path, empty or with a slash before it.
  private static func below(_ group: Substring, root: Substring) -> Substring? {
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
