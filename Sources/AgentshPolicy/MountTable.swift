/// A mount, as `proc_pid_mountinfo(5)` tells it, with its texts unescaped.
package struct MountPoint: Equatable, Sendable {
  let id, parent: UInt32
  /// The device of its file system: major and minor.
  let device: UInt64
  /// The directory of the file system that is mounted, and where that is; empty for `/`.
  let root, point: [UInt8]
  /// Nothing on it is permitted, whatever the policy says.
  let isClosed: Bool

  package init(
    id: UInt32, parent: UInt32, device: UInt64, root: [UInt8], point: [UInt8], isClosed: Bool = false
  ) {
    self.id = id
    self.parent = parent
    self.device = device
    self.root = root.count == 1 ? [] : root
    self.point = point.count == 1 ? [] : point
    self.isClosed = isClosed
  }
}

/// What mounts say of paths. Other names for what a path names: a directory that is mounted at two places (a bind mount, a
/// file system and its subvolume) has everything below it under two names, and rules hold for both (DECISIONS 28).
///
/// A name is one only where no other mount covers it. What links, hard links and overlays show is none. And what lies on
/// a mount that is closed.
package struct MountTable: Equatable, Sendable {
  /// A mount whose texts are ranges of `texts`: plain numbers, so that reading one counts no references.
  private struct Entry: Equatable {
    let id, parent: UInt32
    let device: UInt64
    /// The parent is not among them, as the root's.
    let isTop: Bool
    let isClosed: Bool
    let root, point: Range<Int>
  }
  private let entries: [Entry]
  private let texts: [UInt8]
  /// Below which paths something may have another name, or be closed.
  private let prefixes: [Range<Int>]

  /// nil where nothing has two names and nothing is closed.
  package init?(_ mounts: [MountPoint]) {
    var found: Set<[UInt8]> = []
    for (_, family) in Dictionary(grouping: mounts, by: \.device) where family.count > 1 {
      for outer in family {
        for inner in family where inner.id != outer.id && isBelow(inner.root.span, outer.root.span) {
          found.insert(outer.point + inner.root[outer.root.count...])
          found.insert(inner.point)
        }
      }
    }
    for mount in mounts where mount.isClosed { found.insert(mount.point) }
    if found.isEmpty { return nil }
    let known = Set(mounts.map(\.id))
    var texts: [UInt8] = []
    func keep(_ text: [UInt8]) -> Range<Int> {
      texts += text
      return texts.count - text.count..<texts.count
    }
    entries = mounts.map { mount in
      Entry(
        id: mount.id, parent: mount.parent, device: mount.device,
        isTop: mount.parent == mount.id || !known.contains(mount.parent), isClosed: mount.isClosed,
        root: keep(mount.root), point: keep(mount.point))
    }
    prefixes = found.sorted { $0.lexicographicallyPrecedes($1) }.map(keep)
    self.texts = texts
  }

  /// The other names of a path, for people.
  package func others(than path: String) -> [String] {
    let path = Array(path.utf8)
    var names = Names()
    var found: [String] = []
    guard begin(&names, with: path.span), !names.isClosed else { return [] }
    while advance(&names) {
      if names.name != path { found.append(String(decoding: names.name, as: UTF8.self)) }
    }
    return found
  }

  /// Memory for going through the other names of a path; used again, so that nothing is allocated.
  struct Names {
    /// The name at hand.
    fileprivate(set) var name: [UInt8] = []
    /// It lies on a closed mount; then there is none.
    fileprivate(set) var isClosed = false
    fileprivate var device: UInt64 = 0
    /// The path on its file system.
    fileprivate var inside: [UInt8] = []
    fileprivate var following = 0
  }

  /// Begins with the names of `path`. False where it has one, and is not closed.
  func begin(_ names: inout Names, with path: borrowing Span<UInt8>) -> Bool {
    names.isClosed = false
    for prefix in prefixes where isBelow(path, texts.span.extracting(prefix)) {
      guard let index = entry(of: path) else { break }
      names.isClosed = entries[index].isClosed
      if names.isClosed { return true }
      let (root, start) = (entries[index].root, entries[index].point.count)
      names.device = entries[index].device
      write(texts.span.extracting(root), path, from: start, to: &names.inside)
      names.following = 0
      return true
    }
    return false
  }

  /// Goes on to the next name; one of them is the path itself. False after the last.
  func advance(_ names: inout Names) -> Bool {
    while names.following < entries.count {
      let index = names.following
      names.following += 1
      let (root, point) = (entries[index].root, entries[index].point)
      guard entries[index].device == names.device,
        isBelow(names.inside.span, texts.span.extracting(root))
      else { continue }
      var name: [UInt8] = []
      swap(&name, &names.name)
      write(texts.span.extracting(point), names.inside.span, from: root.count, to: &name)
      let isOne = entry(of: name.span) == index
      swap(&name, &names.name)
      if isOne { return true }
    }
    return false
  }

  /// Whether other names hang on `path`: moved or removed, what lies below it would have others.
  package func hang(on path: borrowing Span<UInt8>) -> Bool {
    for prefix in prefixes where isBelow(texts.span.extracting(prefix), path) { return true }
    return false
  }

  /// On which mount a path lies: down from the root, from each mount to the first that covers its way.
  private func entry(of path: borrowing Span<UInt8>) -> Int? {
    var current: Int?
    for _ in entries.indices {
      var nearest: Int?
      for index in entries.indices where index != current {
        let isNext = current.map { !entries[index].isTop && entries[index].parent == entries[$0].id }
        guard isNext ?? entries[index].isTop else { continue }
        let point = entries[index].point
        guard point.count <= entries[nearest ?? index].point.count,
          isBelow(path, texts.span.extracting(point))
        else { continue }
        nearest = index
      }
      guard let nearest else { break }
      current = nearest
    }
    return current
  }
}

private let slash = UInt8(ascii: "/")

/// Whether `path` is `directory`, which is empty for `/`, or lies below it.
package func isBelow(_ path: borrowing Span<UInt8>, _ directory: borrowing Span<UInt8>) -> Bool {
  guard path.count >= directory.count else { return false }
  for index in 0..<directory.count where path[index] != directory[index] { return false }
  return path.count == directory.count || path[directory.count] == slash
}

/// `directory` and what follows the first `start` bytes of `path`.
private func write(
  _ directory: borrowing Span<UInt8>, _ path: borrowing Span<UInt8>, from start: Int, to result: inout [UInt8]
) {
  result.removeAll(keepingCapacity: true)
  for index in directory.indices { result.append(directory[index]) }
  // The root's slash is no name below another directory.
  if path.count > start, path.count > 1 || directory.isEmpty {
    for index in start..<path.count { result.append(path[index]) }
  }
  if result.isEmpty { result.append(slash) }
}
