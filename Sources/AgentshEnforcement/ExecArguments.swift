import CLinux
import LinuxSystem

/// The argument vector of an exec, copied once from the caller's memory: NUL-terminated strings one behind the other,
/// as the kernel puts them on the new stack and as /proc/PID/cmdline shows them.
package struct ExecArguments {
  /// What the kernel takes with the usual stack limit, environment included; more is E2BIG.
  package static let byteLimit = 2 << 20
  private static let countLimit = byteLimit / 8
  /// Each exec's record keeps so many arguments, and so much of each.
  private static let recordedCount = 256
  private static let recordedBytes = 4096

  private(set) var bytes: [UInt8] = []
  private(set) var starts: [Int] = []

  package init() {}

  package var count: Int { starts.count }

  /// One argument without its NUL.
  package func argument(_ index: Int) -> ArraySlice<UInt8> {
    let end = index + 1 < starts.count ? starts[index + 1] : bytes.count
    return bytes[starts[index]..<(end - 1)]
  }

  func list(from first: Int = 0) -> [[UInt8]] { (min(first, count)..<count).map { Array(argument($0)) } }

  /// All arguments from `first` on, joined by one space.
  package func joined(from first: Int) -> [UInt8] {
    guard first < count else { return [] }
    var text = Array(bytes[starts[first]..<(bytes.count - 1)])
    for index in first + 1..<max(first + 1, count) {
      text[starts[index] - 1 - starts[first]] = UInt8(ascii: " ")
    }
    return text
  }

  var recorded: [String] {
    (0..<min(count, Self.recordedCount)).map {
      String(decoding: argument($0).prefix(Self.recordedBytes), as: UTF8.self)
    }
  }

  mutating func append(_ argument: some Sequence<UInt8>) {
    starts.append(bytes.count)
    bytes.append(contentsOf: argument)
    bytes.append(0)
  }

  mutating func append(contentsOf other: ExecArguments, from first: Int) {
    for index in min(first, other.count)..<other.count { append(other.argument(index)) }
  }

  // MARK: - Reading

  /// Copies the vector at `address`. Returns 0 or the errno that the caller gets. An empty vector becomes one empty
  /// argument, as the kernel (5.18) makes it.
  package mutating func read(from thread: Int32, at address: UInt64) -> Int32 {
    var pointers: [UInt64] = []
    if address != 0 {
      let failed = Self.readPointers(thread, address, &pointers)
      if failed != 0 { return failed }
    }
    bytes.reserveCapacity(1024)
    starts.reserveCapacity(pointers.count)
    var index = 0
    while index < pointers.count {
      let batch = pointers[index..<min(index + Self.batch, pointers.count)]
      let failed = readStrings(thread, batch)
      if failed != 0 { return failed }
      index += batch.count
    }
    if starts.isEmpty { append([]) }
    return 0
  }

  private static let batch = 64
  private static let firstRead = 128
  private static let page: UInt64 = 4096

  private static func readPointers(_ thread: Int32, _ address: UInt64, _ pointers: inout [UInt64]) -> Int32 {
    var at = address
    var size = 256
    while pointers.count < countLimit {
      // Never into the next page before this one is used up: it may not be there.
      let room = Int(page - (at & (page - 1)))
      var buffer = [UInt8](repeating: 0, count: room >= 8 ? min(size, room & ~7) : 8)
      let wanted = buffer.count
      let got = readProcessMemory(thread, pieces: [MemoryPiece(address: at, count: wanted)], into: &buffer)
      guard got == wanted else { return memoryErrno(got) }
      for offset in stride(from: 0, to: wanted, by: 8) {
        var value: UInt64 = 0
        for byte in 0..<8 { value |= UInt64(buffer[offset + byte]) << UInt64(8 * byte) }
        if value == 0 { return 0 }
        pointers.append(value)
      }
      at &+= UInt64(wanted)
      size = 4096
    }
    return E2BIG
  }

  /// Most strings are short: the beginnings of a batch are read with one call, the rest of long ones one by one.
  private mutating func readStrings(_ thread: Int32, _ pointers: ArraySlice<UInt64>) -> Int32 {
    let pieces = pointers.map {
      MemoryPiece(address: $0, count: min(Self.firstRead, Int(Self.page - ($0 & (Self.page - 1)))))
    }
    var buffer = [UInt8](repeating: 0, count: pieces.reduce(0) { $0 + $1.count })
    let got = readProcessMemory(thread, pieces: pieces, into: &buffer)
    guard got == buffer.count else { return Self.memoryErrno(got) }
    var offset = 0
    for piece in pieces {
      starts.append(bytes.count)
      let part = buffer[offset..<(offset + piece.count)]
      offset += piece.count
      if let end = part.firstIndex(of: 0) {
        bytes.append(contentsOf: part[...end])
      } else {
        bytes.append(contentsOf: part)
        let failed = readRest(thread, piece.address &+ UInt64(piece.count))
        if failed != 0 { return failed }
      }
      if bytes.count > Self.byteLimit { return E2BIG }
    }
    return 0
  }

  private mutating func readRest(_ thread: Int32, _ address: UInt64) -> Int32 {
    var at = address
    while bytes.count <= Self.byteLimit {
      let size = Int(Self.page - (at & (Self.page - 1)))
      var buffer = [UInt8](repeating: 0, count: size)
      let got = readProcessMemory(thread, pieces: [MemoryPiece(address: at, count: size)], into: &buffer)
      guard got == size else { return Self.memoryErrno(got) }
      if let end = buffer.firstIndex(of: 0) {
        bytes.append(contentsOf: buffer[...end])
        return 0
      }
      bytes.append(contentsOf: buffer)
      at &+= UInt64(size)
    }
    return E2BIG
  }

  /// EPERM: not readable for us, denied as EACCES. Short or unmapped: EFAULT, as the kernel says.
  private static func memoryErrno(_ result: Int) -> Int32 {
    switch -result {
    case Int(EPERM): EACCES
    case Int(ESRCH): ESRCH
    case Int(ENOMEM): ENOMEM
    default: EFAULT
    }
  }
}
