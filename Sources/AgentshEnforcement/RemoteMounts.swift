import LinuxSystem
import Synchronization

/// Where file systems begin whose server may be slow or supervised itself (FUSE, NFS …).
final class RemoteMounts: Sendable {
  private final class Names: Sendable {
    let names: [PathText]
    init(_ names: [PathText]) { self.names = names }
  }
  /// Address of the newest `Names`; 0 when there are none. One that is replaced stays, for a thread may be reading it.
  private let newest = Atomic<UInt>(0)

  /// By one thread at a time.
  func take(_ mounts: [Mount]) {
    let names = mounts.filter { Self.remoteTypes.contains($0.type) || $0.type.hasPrefix("fuse") }
      .map { PathText($0.point) }
    if names.map(\.text) == known?.names.map(\.text) ?? [] { return }
    let box = names.isEmpty ? 0 : unsafe UInt(bitPattern: Unmanaged.passRetained(Names(names)).toOpaque())
    newest.store(box, ordering: .releasing)
  }

  private var known: Names? {
    // SAFETY: what is stored here is never released.
    unsafe UnsafeRawPointer(bitPattern: newest.load(ordering: .acquiring))
      .map { unsafe Unmanaged<Names>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Whether the name lies below one of them.
  func contain(_ name: PathText) -> Bool {
    guard let known else { return false }
    return known.names.contains { mount in
      guard name.count >= mount.count else { return false }
      for index in 0..<mount.count where name[index] != mount[index] { return false }
      return name.count == mount.count || mount.count == 1 || name[mount.count] == UInt8(ascii: "/")
    }
  }

  private static let remoteTypes: Set<String> = [
    "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "autofs", "glusterfs", "lustre", "ocfs2", "gfs2",
    "orangefs",
    "virtiofs", "coda",
  ]
}
