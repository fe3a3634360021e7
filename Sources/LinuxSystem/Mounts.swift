/// A mount, from a line of mountinfo. `proc_pid_mountinfo(5)`
package struct Mount {
  package let id, parent: UInt32
  /// The device of its file system: major and minor, 32 bits each.
  package let device: UInt64
  /// The directory of its file system that is mounted.
  package let root: [UInt8]
  /// Where it is mounted.
  package let point: [UInt8]
  package let type: String

  /// All that `process` sees, where that may be read.
  package static func all(of process: String = "self") throws(SystemCallError) -> [Mount] {
    all(in: try text(of: process))
  }

  static let textLimit = 1 << 22

  /// The text that `all(in:)` takes, of what `process` sees.
  package static func text(of process: String = "self") throws(SystemCallError) -> [UInt8] {
    try readAll("/proc/\(process)/mountinfo", limit: textLimit).get()
  }

  /// One mount of a text, by its number.
  package static func one(_ number: UInt64, in text: [UInt8]) -> Mount? {
    let begin = Array("\(number) ".utf8)
    return lines(of: text) { $0.starts(with: begin) }.first.flatMap(Mount.init)
  }

  /// Those of one device.
  package static func all(on device: UInt64, in text: [UInt8]) -> [Mount] {
    let field = Array("\(device >> 32):\(device & 0xffff_ffff)".utf8)
    return lines(of: text) { line in
      // The third field: behind two numbers.
      var rest = line
      for _ in 0..<2 { rest = rest.drop { $0 != UInt8(ascii: " ") }.dropFirst() }
      return rest.starts(with: field)
    }.compactMap(Mount.init).filter { $0.device == device }
  }

  private static func lines(
    of text: [UInt8], _ isWanted: (ArraySlice<UInt8>) -> Bool
  ) -> [ArraySlice<UInt8>] {
    var found: [ArraySlice<UInt8>] = []
    var start = 0
    while start < text.count {
      let end = text[start...].firstIndex(of: 10) ?? text.count
      if isWanted(text[start..<end]) { found.append(text[start..<end]) }
      start = end + 1
    }
    return found
  }

  /// A procfs, or a part of one, that is not where /proc has it: what its names say of processes is not what /proc's do.
  package var showsProcessesElsewhere: Bool {
    type == "proc" && point != Array("/proc".utf8) + (root.count == 1 ? [] : root)
  }

  /// The mounts of a mountinfo text; lines that are none are passed over.
  /// By bytes: names need not be UTF-8, and a character may begin with a separator and go on.
  package static func all(in text: [UInt8]) -> [Mount] {
    lines(of: text) { _ in true }.compactMap(Mount.init)
  }

  /// Where control groups are mounted, of both versions, and where they may yet be. `cgroups(7)`
  package static func controlGroups() -> Set<String> {
    var found: Set = ["/sys/fs/cgroup"]
    guard let mounts = try? OwnMounts.all() else { return found }
    for mount in mounts where mount.type.hasPrefix("cgroup") {
      found.insert(String(decoding: mount.point, as: UTF8.self))
    }
    return found
  }

  /// id parent device root point options… - type source options
  private init?(_ line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " "))
    guard let dash = fields.firstIndex(of: [UInt8(ascii: "-")]), dash >= 6, fields.count > dash + 1 else {
      return nil
    }
    let numbers = fields[2].split(separator: UInt8(ascii: ":"))
    guard numbers.count == 2, let id = Self.number(fields[0]), let parent = Self.number(fields[1]),
      let major = Self.number(numbers[0]), let minor = Self.number(numbers[1])
    else { return nil }
    self.id = id
    self.parent = parent
    device = UInt64(major) << 32 | UInt64(minor)
    root = Self.unescaped(fields[3])
    point = Self.unescaped(fields[4])
    type = String(decoding: fields[dash + 1], as: UTF8.self)
  }

  private static func number(_ text: ArraySlice<UInt8>) -> UInt32? {
    UInt32(String(decoding: text, as: UTF8.self))
  }

  /// Blank, tab, newline and backslash are written as three octal digits.
  private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = text
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
