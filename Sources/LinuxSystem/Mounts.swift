/// A mount, from a line of mountinfo. `proc_pid_mountinfo(5)`
package struct Mount {
  package let id, parent: UInt32
  /// The device of its file system: major and minor, 32 bits each.
  package let device: UInt64
  /// The directory of its file system that is mounted.
  package let root: [UInt8]
  /// Where it is mounted.
  package let point: [UInt8]
  package let type: Substring

  /// All that `process` sees, where that may be read.
  package static func all(of process: String = "self") throws(SystemCallError) -> [Mount] {
    all(in: String(decoding: try readAll("/proc/\(process)/mountinfo", limit: 1 << 22).get(), as: UTF8.self))
  }

  /// The mounts of a mountinfo text; lines that are none are passed over.
  package static func all(in text: String) -> [Mount] { text.split(separator: "\n").compactMap(Mount.init) }

  /// Where control groups are mounted, of both versions, and where they may yet be. `cgroups(7)`
  package static func controlGroups() -> Set<String> {
    var found: Set = ["/sys/fs/cgroup"]
    guard let mounts = try? all() else { return found }
    for mount in mounts where mount.type.hasPrefix("cgroup") {
      found.insert(String(decoding: mount.point, as: UTF8.self))
    }
    return found
  }

  /// id parent device root point options… - type source options
  private init?(_ line: Substring) {
    let fields = line.split(separator: " ")
    guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1 else { return nil }
    let numbers = fields[2].split(separator: ":").map { UInt64($0) }
    guard let id = UInt32(fields[0]), let parent = UInt32(fields[1]), numbers.count == 2,
      let major = numbers[0], let minor = numbers[1]
    else { return nil }
    self.id = id
    self.parent = parent
    device = major << 32 | minor
    root = Self.unescaped(fields[3])
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
