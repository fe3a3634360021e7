/// A mount, from a line of mountinfo. `proc_pid_mountinfo(5)`
package struct Mount {
  /// The directory of its file system that is mounted, as the kernel writes it (escaped).
  package let root: Substring
  /// Where it is mounted.
  package let point: [UInt8]
  package let type: Substring

  /// The mounts of a mountinfo text; lines that are none are passed over.
  package static func all(in text: String) -> [Mount] { text.split(separator: "\n").compactMap(Mount.init) }

  /// Where control groups are mounted, of both versions, and where they may yet be. `cgroups(7)`
  package static func controlGroups() -> Set<String> {
    var found: Set = ["/sys/fs/cgroup"]
    guard case .success(let text) = readAll("/proc/self/mountinfo", limit: 1 << 22) else { return found }
    for mount in all(in: String(decoding: text, as: UTF8.self)) where mount.type.hasPrefix("cgroup") {
      found.insert(String(decoding: mount.point, as: UTF8.self))
    }
    return found
  }

  /// id parent device root point options… - type source options
  private init?(_ line: Substring) {
    let fields = line.split(separator: " ")
    guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1 else { return nil }
    root = fields[3]
    point = Self.unescaped(fields[4])
    type = fields[dash + 1]
  }

  /// Blank, tab, newline and backslash are written as three octal digits.
  private static func unescaped(_ text: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest.removeFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return bytes
  }
}
