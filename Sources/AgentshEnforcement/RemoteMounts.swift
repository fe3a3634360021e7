import LinuxSystem
import Synchronization

/// Where file systems begin whose server may be slow or supervised itself (FUSE, NFS …): at the start, and whenever the
/// mounts change.
final class RemoteMounts: Sendable {
  private final class Names: Sendable {
    let names: [PathText]
    init(_ names: [PathText]) { self.names = names }
  }
  /// Address of the newest `Names`; 0 when there are none. One that is replaced stays, for a thread may be reading it.
  private let newest = Atomic<UInt>(0)

  init() throws(SystemCallError) { replace(try Self.find()) }

  /// After a change. What cannot be read now is as it was; the next change is another try.
  func refresh() {
    guard let names = try? Self.find() else { return }
    replace(names)
  }

  private func replace(_ names: [PathText]) {
    let box = names.isEmpty ? 0 : unsafe UInt(bitPattern: Unmanaged.passRetained(Names(names)).toOpaque())
    newest.store(box, ordering: .releasing)
  }

  /// Whether the name lies below one of them.
  func contain(_ name: PathText) -> Bool {
    // SAFETY: what is stored here is never released.
    guard let box = unsafe UnsafeRawPointer(bitPattern: newest.load(ordering: .acquiring)) else {
      return false
    }
    return unsafe Unmanaged<Names>.fromOpaque(box).takeUnretainedValue().names.contains { mount in
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

  private static func find() throws(SystemCallError) -> [PathText] {
    let text = try readAll("/proc/self/mountinfo", limit: 1 << 22).get()
    return Mount.all(in: String(decoding: text, as: UTF8.self))
      .filter { remoteTypes.contains(String($0.type)) || $0.type.hasPrefix("fuse") }
      .map { PathText($0.point) }
  }
}
