/// Where in a UTF-8 character a byte sequence stands. It tells apart, without looking ahead, a byte that begins a
/// character from one that continues it, for any bytes at all: what is not UTF-8 falls into characters as the Unicode
/// standard's "maximal subparts" do, so each stray byte is one character.
struct UTF8Position: Hashable, Sendable {
  /// 0: between characters; otherwise which bytes may continue.
  private(set) var rawValue: UInt8 = 0

  static let boundary = UTF8Position()

  /// Steps over `byte`. Returns whether it continued the character before it.
  @inline(__always)
  mutating func advance(_ byte: UInt8) -> Bool {
    if rawValue != 0, let next = Self.continuation(rawValue, byte) {
      rawValue = next
      return true
    }
    rawValue = Self.lead(byte)
    return false
  }

  /// The state after `byte` where it may continue in `state`.
  private static func continuation(_ state: UInt8, _ byte: UInt8) -> UInt8? {
    switch (state, byte) {
    case (1, 0x80...0xBF): 0
    case (2, 0x80...0xBF): 1
    case (3, 0x80...0xBF): 2
    case (4, 0xA0...0xBF): 1  // after E0: no overlong forms
    case (5, 0x80...0x9F): 1  // after ED: no surrogates
    case (6, 0x90...0xBF): 2  // after F0: no overlong forms
    case (7, 0x80...0x8F): 2  // after F4: not above U+10FFFF
    default: nil
    }
  }

  private static func lead(_ byte: UInt8) -> UInt8 {
    switch byte {
    case 0xC2...0xDF: 1
    case 0xE0: 4
    case 0xED: 5
    case 0xE1...0xEF: 2
    case 0xF0: 6
    case 0xF1...0xF3: 3
    case 0xF4: 7
    default: 0
    }
  }

  /// Byte ranges that the states above tell apart: an automaton's byte classes may not be coarser.
  static let ranges: [ClosedRange<UInt8>] = [
    0x80...0x8F, 0x90...0x9F, 0xA0...0xBF, 0xC2...0xDF, 0xE0...0xE0, 0xE1...0xEC, 0xED...0xED, 0xEE...0xEF,
    0xF0...0xF0, 0xF1...0xF3, 0xF4...0xF4,
  ]
}

/// What an automaton has to remember of a path besides its states.
struct PathContext: Equatable, Sendable {
  private(set) var place = UTF8Position.boundary
  /// 0: no slash yet; 1: one before the last byte; 2: the last byte is one.
  private(set) var slashes: UInt8 = 0

  /// Steps over `byte`. Returns whether it continued the character before it.
  @inline(__always)
  mutating func advance(_ byte: UInt8) -> Bool {
    slashes = byte == UInt8(ascii: "/") ? 2 : min(slashes, 1)
    return place.advance(byte)
  }
}
