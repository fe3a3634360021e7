import FoundationEssentials

/// JSON as the daemon wrote it, taken apart or indented without being decoded: order and numbers stay as they are.
/// What is not well-formed comes out as it went in.
package enum JSONArray {
  /// The elements of a top-level array, each as its bytes without the space around it.
  package static func elements(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var result: [ArraySlice<UInt8>] = []
    var depth = 0
    var start: Int?
    var scanner = JSONScanner()
    func close(_ index: Int) {
      guard let from = start else { return }
      let element = bytes[from..<index].trimming(while: JSONScanner.isSpace)
      if !element.isEmpty { result.append(element) }
      start = nil
    }
    for (index, byte) in bytes.enumerated() {
      guard scanner.isStructure(byte) else { continue }
      switch byte {
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        if depth == 1 { start = index + 1 }
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        if depth == 1 { close(index) }
        depth -= 1
      case UInt8(ascii: ",") where depth == 1:
        close(index)
        start = index + 1
      default: break
      }
    }
    return result
  }
}

/// Tells what is structure from what is inside strings.
private struct JSONScanner {
  private var inString = false
  private var escaped = false

  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  /// False for every byte of a string, its quotes included.
  mutating func isStructure(_ byte: UInt8) -> Bool {
    if inString {
      if escaped {
        escaped = false
      } else if byte == UInt8(ascii: "\\") {
        escaped = true
      } else if byte == UInt8(ascii: "\"") {
        inString = false
      }
      return false
    }
    if byte == UInt8(ascii: "\"") {
      inString = true
      return false
    }
    return true
  }
}

/// A value as JSON for people: keys in the order of the alphabet, slashes as they are.
func indented(_ value: some Encodable) throws -> [UInt8] {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return indented(json: try encoder.encode(value))
}

/// The same JSON with line breaks and two spaces a level, as upstream prints it, with a line break at the end.
package func indented(json bytes: some Sequence<UInt8>) -> [UInt8] {
  var out: [UInt8] = []
  var depth = 0
  var scanner = JSONScanner()
  var pendingOpen = false
  func breakLine() {
    out.append(0x0A)
    out += [UInt8](repeating: 0x20, count: 2 * max(0, depth))
  }
  for byte in bytes {
    let structure = scanner.isStructure(byte)
    if structure, JSONScanner.isSpace(byte) { continue }
    let closes = structure && (byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}"))
    if closes { depth -= 1 }
    if pendingOpen ? !closes : closes { breakLine() }
    pendingOpen = false
    out.append(byte)
    guard structure else { continue }
    switch byte {
    case UInt8(ascii: "["), UInt8(ascii: "{"):
      depth += 1
      pendingOpen = true
    case UInt8(ascii: ","): breakLine()
    case UInt8(ascii: ":"): out.append(0x20)
    default: break
    }
  }
  out.append(0x0A)
  return out
}

extension ArraySlice<UInt8> {
  fileprivate func trimming(while predicate: (UInt8) -> Bool) -> ArraySlice<UInt8> {
    guard let first = firstIndex(where: { !predicate($0) }), let last = lastIndex(where: { !predicate($0) })
    else {
      return self[endIndex...]
    }
    return self[first...last]
  }
}
