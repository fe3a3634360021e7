package import AgentshPolicy
import LinuxSystem

extension MountAliases {
  /// Of the mounts that a process sees; nil where none of them gives a second name, or they cannot be read.
  package init?(of process: String) {
    guard let mounts = try? Mount.all(of: process) else { return nil }
    self.init(
      mounts.map {
        MountPoint(id: $0.id, parent: $0.parent, device: $0.device, root: $0.root, point: $0.point)
      })
  }
}
