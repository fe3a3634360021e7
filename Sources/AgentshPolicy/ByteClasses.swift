/// Bytes that no pattern of a list tells apart share a class: an automaton's rows have a column per class.
struct ByteClasses: Sendable {
  /// The class of each byte, 256 entries.
  private(set) var classOf = [UInt8](repeating: 0, count: 256)
  private(set) var count = 1

  init(telling sets: some Sequence<ByteSet>) {
    for range in UTF8Position.ranges { refine(ByteSet(range)) }
    for set in sets { refine(set) }
  }

  private mutating func refine(_ set: ByteSet) {
    if let byte = set.onlyByte { return split(Int(byte)) }
    var inside = [Int](repeating: -1, count: 256)
    var outside = [Bool](repeating: false, count: 256)
    for byte in 0...255 where !set.contains(UInt8(byte)) { outside[Int(classOf[byte])] = true }
    for byte in 0...255 where set.contains(UInt8(byte)) {
      let old = Int(classOf[byte])
      if !outside[old] { continue }
      if inside[old] < 0 {
        inside[old] = count
        count += 1
      }
      classOf[byte] = UInt8(inside[old])
    }
  }

  /// Gives one byte a class of its own, unless it has one.
  private mutating func split(_ byte: Int) {
    let old = classOf[byte]
    for other in 0..<256 where other != byte && classOf[other] == old {
      classOf[byte] = UInt8(count)
      count += 1
      return
    }
  }

  /// A byte of each class.
  var representatives: [UInt8] {
    var result = [UInt8](repeating: 0, count: count)
    for byte in (0...255).reversed() { result[Int(classOf[byte])] = UInt8(byte) }
    return result
  }
}
