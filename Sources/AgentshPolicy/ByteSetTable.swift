/// The sets of bytes that a list's patterns use, numbered. Nearly all are one byte, whose number is the byte: they are
/// neither hashed nor looked up.
struct ByteSetTable {
  static let none: Int32 = -1
  static let slash = Int32(UInt8(ascii: "/"))
  static let notSlash: Int32 = 256
  static let all: Int32 = 257

  private var isUsed = [Bool](repeating: false, count: 256)
  private var larger: [ByteSet] = [.notSlash, .all]
  private var numbers: [ByteSet: Int32] = [.notSlash: Self.notSlash, .all: Self.all]

  init() { isUsed[Int(Self.slash)] = true }

  mutating func number(of set: ByteSet) -> Int32 {
    if set.isEmpty { return Self.none }
    if let byte = set.onlyByte {
      isUsed[Int(byte)] = true
      return Int32(byte)
    }
    if let known = numbers[set] { return known }
    let number = Int32(truncatingIfNeeded: 256 + larger.count)
    larger.append(set)
    numbers[set] = number
    return number
  }

  /// Every set that is used, with its number.
  var all: [(number: Int32, set: ByteSet)] {
    var result: [(number: Int32, set: ByteSet)] = []
    for byte in 0..<256 where isUsed[byte] { result.append((Int32(byte), ByteSet(UInt8(byte)))) }
    for (index, set) in larger.enumerated() { result.append((Int32(256 + index), set)) }
    return result
  }

  /// One more than the largest number.
  var count: Int { 256 + larger.count }
}
