/// A glob, parsed. The language, over the bytes of a path, case-sensitive:
///
/// - `*` any characters of one component, also none, also a leading dot; `?` one character that is not `/`;
///   `[a-z]`, `[!x]`, `[^x]` one character of a set, never `/`.
/// - `**` any bytes, `/` too. As a whole component it stands for any number of components, none included:
///   `/a/**/b` matches `/a/b`, and `**/x` matches `/x` and `/a/b/x` but not `/ax`. At the end after a `/` it needs
///   something to match: `/x/**` matches neither `/x` nor `/x/`, and `/**` every absolute path except `/` itself.
///   `**` alone matches everything.
/// - `{a,b}` either, nested too; it means what writing the pattern once for each would mean, except that two `*` that
///   meet so stay a `*`.
/// - A backslash takes the next character as it is.
///
/// A character is a UTF-8 encoded scalar value; bytes that are not UTF-8 count as `UTF8Position` divides them.
struct GlobPattern: Equatable, Sendable {
  /// A part of a pattern without braces.
  enum Element: Equatable, Sendable {
    /// A byte that begins a character; `thenAnyContinuation`: and whatever continues it.
    case begin(ByteSet, thenAnyContinuation: Bool)
    /// A byte that continues a character.
    case proceed(ByteSet)
    /// As `begin` or `proceed`, and here the character ends although its first byte promised more.
    case endTruncated
    /// `*`
    case componentBytes
    /// `**` where it is not one of the next two.
    case anyBytes
    /// `**/` after a slash: nothing, or anything that ends in a slash.
    case anyDepth
    /// `**` after a slash at the end: anything but nothing.
    case somethingBelow

    static let slash = Element.begin(.slash, thenAnyContinuation: false)
  }

  /// More alternatives than this in one pattern are refused.
  static let maximumAlternatives = 1024

  /// The pattern without braces and without sets of long characters: any of these.
  let alternatives: [[Element]]

  init(_ text: String, ignoringCase: Bool = false) throws(PatternError) {
    var parser = GlobParser(text, ignoringCase: ignoringCase)
    let choices = try parser.parse()
    var resolved: [[Element]] = []
    for choice in choices { resolved += Self.splitTruncated(Self.resolve(choice)) }
    if resolved.count > Self.maximumAlternatives {
      throw PatternError(offset: 0, cause: "more than \(Self.maximumAlternatives) alternatives")
    }
    alternatives = resolved
  }

  /// `path` itself and nothing else, or everything below it: no character has a meaning.
  init(literal path: String, below: Bool) {
    var elements: [Element] = []
    elements.reserveCapacity(path.utf8.count + 2)
    for byte in path.utf8 { elements.append(Self.literal(byte)) }
    if below { elements += path == "/" ? [.somethingBelow] : [.slash, .somethingBelow] }
    alternatives = [elements]
  }

  static func literal(_ byte: UInt8) -> Element {
    byte & 0xC0 == 0x80 ? .proceed(ByteSet(byte)) : .begin(ByteSet(byte), thenAnyContinuation: false)
  }

  /// As a pattern for the last component: `(**/)?` before it.
  func afterAnyDirectory() -> GlobPattern { GlobPattern(alternatives: alternatives.map { [.anyDepth] + $0 }) }

  private init(alternatives: [[Element]]) { self.alternatives = alternatives }

  /// Gives each `**` its meaning from what stands beside it.
  private static func resolve(_ elements: [Element]) -> [Element] {
    var merged: [Element] = []
    for element in elements {
      switch (merged.last, element) {
      case (.anyBytes?, .componentBytes), (.anyBytes?, .anyBytes), (.componentBytes?, .componentBytes):
        continue
      case (.componentBytes?, .anyBytes): merged[merged.count - 1] = .anyBytes
      default: merged.append(element)
      }
    }
    var result: [Element] = []
    var index = 0
    while index < merged.count {
      let afterSlash = index > 0 && merged[index - 1] == .slash
      let isLast = index + 1 == merged.count
      if merged[index] == .anyBytes, afterSlash, isLast {
        result.append(.somethingBelow)
      } else if merged[index] == .anyBytes, afterSlash, merged[index + 1] == .slash {
        if result.last != .anyDepth { result.append(.anyDepth) }
        index += 1
      } else {
        result.append(merged[index])
      }
      index += 1
    }
    return result
  }

  /// A `*` goes on in the middle of a character, which a truncated one must not be followed by: `T*` becomes `T` or
  /// `T?*`.
  private static func splitTruncated(_ elements: [Element]) -> [[Element]] {
    guard let end = elements.firstIndex(of: .endTruncated) else { return [elements] }
    let head = Array(elements[..<end])
    let tails = splitTruncated(Array(elements[(end + 1)...]))
    var result: [[Element]] = []
    for tail in tails {
      switch tail.first {
      case .componentBytes?, .anyBytes?:
        let first: ByteSet = tail.first == .anyBytes ? .all : .notSlash
        result.append(head + tail.dropFirst())
        result.append(head + [.begin(first, thenAnyContinuation: true)] + tail)
      default:
        result.append(head + tail)
      }
    }
    return result
  }
}
