import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// Memory that stands for a caller's: some pages, and behind them one that nobody may read. What a supervisor reads
/// from another process it reads here from its own, by the same calls.
final class Arena: Sendable {
  static let size = 4 * 4096
  /// Where an input puts its own addresses: the upper half of a number that says "in the arena, at the lower half".
  static let mark: UInt64 = 0xA5A5_A5A5

  let base: UInt64
  private let user = Mutex<Void>(())

  init?() {
    let mapped = rawCall(
      Int(SYS_mmap), 0, Self.size + 4096, Int(PROT_READ | PROT_WRITE), Int(MAP_PRIVATE | MAP_ANONYMOUS), -1, 0
    )
    guard mapped > 0, rawCall(Int(SYS_mprotect), mapped + Self.size, 4096, Int(PROT_NONE)) == 0 else {
      return nil
    }
    base = UInt64(mapped)
  }

  /// Puts `bytes` at the end, so that the byte behind them cannot be read, zeros before them, and runs `body` with
  /// their address. One at a time.
  func holding(
    _ bytes: [UInt8], _ body: (_ address: UInt64, _ content: [UInt8]) throws(Broken) -> Void
  ) throws(Broken) {
    let content = Array(bytes.suffix(Self.size))
    let result: Result<Void, Broken> = user.withLock { _ in
      let address = base + UInt64(Self.size - content.count)
      let all = UnsafeMutableRawBufferPointer(
        start: UnsafeMutableRawPointer(bitPattern: UInt(base)), count: Self.size)
      all.initializeMemory(as: UInt8.self, repeating: 0)
      UnsafeMutableRawBufferPointer(rebasing: all[(Self.size - content.count)...]).copyBytes(from: content)
      do throws(Broken) { return .success(try body(address, content)) } catch { return .failure(error) }
    }
    try result.get()
  }

  /// So far before the end; 0 is the first byte that cannot be read.
  func address(beforeEnd distance: UInt64) -> UInt64 {
    base + UInt64(Self.size) - distance % UInt64(Self.size + 1)
  }

  /// What an input means by `number`.
  func address(_ number: UInt64) -> UInt64 {
    number >> 32 == Self.mark ? address(beforeEnd: number & 0xffff_ffff) : number
  }

  func contains(_ address: UInt64, count: Int) -> Bool {
    address >= base && address < base + UInt64(Self.size)
      && UInt64(count) <= base + UInt64(Self.size) - address
  }

  /// The byte at an address; nil where nothing can be read.
  func byte(at address: UInt64) -> UInt8? {
    contains(address, count: 1) ? UnsafeRawPointer(bitPattern: UInt(address))?.load(as: UInt8.self) : nil
  }

  static let shared = Arena()
}
