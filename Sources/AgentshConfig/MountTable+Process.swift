package import AgentshPolicy
import LinuxSystem

extension MountTable {
  /// Of the mounts that a process sees; nil where they say nothing of paths, or cannot be read.
  package init?(of process: Int32) {
    let found = try? OwnMounts.are(of: process) ? OwnMounts.all() : Mount.all(of: String(process))
    guard let mounts = found else { return nil }
    self.init(
      mounts.map {
        MountPoint(
          id: $0.id, parent: $0.parent, device: $0.device, root: $0.root, point: $0.point,
          isClosed: $0.showsProcessesElsewhere)
      })
  }
}
