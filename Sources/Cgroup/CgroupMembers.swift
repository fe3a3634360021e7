import CLinux
import LinuxSystem

/// The processes of a group now, from its `cgroup.procs`, open for reading; zombies are not among them. nil where that
/// cannot be read. A group that was removed has none. `cgroups(7)`
package func cgroupMembers(_ descriptor: Int32) -> [Int32]? {
  var bytes: [UInt8] = []
  var chunk = PathText()
  while true {
    let offset = bytes.count
    let count = chunk.fill(capacity: PathText.limit) {
      rawCall(Int(SYS_pread64), Int(descriptor), $0, PathText.limit, offset)
    }
    if count == -Int(EINTR) { continue }
    if count == -Int(ENODEV) { return [] }
    guard count >= 0 else { return nil }
    if count == 0 { break }
    bytes.append(contentsOf: chunk.bytes)
  }
  // 0: in a pid namespace that we do not see.
  return bytes.split(separator: 0x0A).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }.filter {
    $0 > 0
  }
}
