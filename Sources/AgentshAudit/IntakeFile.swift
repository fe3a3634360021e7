import CLinux
import LinuxSystem
import Synchronization

/// Makes rows of the frames of one intake file.
package protocol IntakeSource: Sendable {
  /// Adds a frame's events. Throws for bytes that are no such frame.
  func add(_ frame: ArraySlice<UInt8>, to rows: inout AuditRows) throws
}

/// Frames as they came, on disk before they are confirmed: one file, from one sender, 0600.
///
/// A mark, the head (what is needed to make rows of the frames, also for another daemon), then the frames, each with
/// its length (32 bits, little-endian) before it. The file is locked as long as its daemon lives: another one leaves
/// it alone. `flock(2)`
final class IntakeFile: Sendable {
  static let ending = ".intake"
  /// Made, but not yet locked and with its head.
  static let endingOfNew = ".intake-new"
  /// Not readable to the end; kept for the person who looks.
  static let endingOfBad = ".intake-bad"
  /// No frame and no head is longer.
  static let frameLimit = 1 << 25
  /// A file of which all is stored begins anew at this size.
  static let restartSize = 1 << 20
  private static let mark = Array("agentsh intake 1\n".utf8)

  let path: String
  let source: any IntakeSource
  private let file: FileDescriptor
  private let onStep: @Sendable (EventIntake.Step) throws(SystemCallError) -> Void

  private struct State {
    /// Where the next frame goes.
    var length: Int
    /// Where the first frame goes.
    let start: Int
    /// Frames that are not in the store.
    var waiting = 0
    var isOver = false
    var isBad = false
  }
  private let state: Mutex<State>

  private init(
    _ path: String, _ file: consuming FileDescriptor, _ source: any IntakeSource, start: Int, length: Int,
    _ onStep: @escaping @Sendable (EventIntake.Step) throws(SystemCallError) -> Void
  ) {
    self.path = path
    self.file = file
    self.source = source
    self.onStep = onStep
    state = Mutex(State(length: length, start: start))
  }

  /// Makes the file. Throws ENOSPC, EDQUOT, EACCES; nothing is left then. `open(2)`, `rename(2)`
  static func make(
    _ directory: String, _ name: String, head: [UInt8], _ source: any IntakeSource,
    _ onStep: @escaping @Sendable (EventIntake.Step) throws(SystemCallError) -> Void
  ) throws(SystemCallError) -> IntakeFile {
    let temporary = "\(directory)/\(name)\(endingOfNew)"
    let path = "\(directory)/\(name)\(ending)"
    let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
    let opened = try check("open", openAt(AT_FDCWD, PathText(temporary), flags: flags, mode: 0o600))
    let file = FileDescriptor(owning: Int32(opened))
    do throws(SystemCallError) {
      try lock(file.number)
      let start = mark + lengthBytes(head.count) + head
      try write(start, to: file.number, at: 0)
      try onStep(.written)
      try check("rename", renameAt2(AT_FDCWD, PathText(temporary), AT_FDCWD, PathText(path), flags: 0))
      return IntakeFile(path, file, source, start: start.count, length: start.count, onStep)
    } catch {
      _ = unlinkAt(AT_FDCWD, PathText(temporary), flags: 0)
      throw error
    }
  }

  var isFull: Bool { state.withLock { $0.length >= EventIntake.fileLimit } }

  /// On disk (in the page cache) when it returns; all of the frame, or nothing of it. Returns where it begins.
  /// Throws ENOSPC, EDQUOT, EIO. `pwrite(2)`
  func append(_ frame: [UInt8]) throws(SystemCallError) -> Int {
    try state.withLock { state throws(SystemCallError) -> Int in
      let start = state.length
      do throws(SystemCallError) {
        try Self.write(Self.lengthBytes(frame.count) + frame, to: file.number, at: start)
        try onStep(.written)
      } catch {
        // Should this fail too, the next frame goes over it all the same.
        _ = truncateDescriptor(file.number, length: Int64(start))
        throw error
      }
      state.length += 4 + frame.count
      state.waiting += 1
      return start + 4
    }
  }

  func frame(at offset: Int, length: Int) throws(SystemCallError) -> [UInt8] {
    try Self.read(file.number, offset, length)
  }

  /// So many frames are in the store. The last one of a file that is over takes the file away.
  func stored(_ count: Int) {
    state.withLock { state in
      state.waiting -= count
      removeIfDone(state)
      guard state.waiting == 0, !state.isOver, !state.isBad, state.length >= Self.restartSize,
        truncateDescriptor(file.number, length: Int64(state.start)) == 0
      else { return }
      state.length = state.start
    }
  }

  /// Nothing more comes.
  func finish() {
    state.withLock { state in
      state.isOver = true
      removeIfDone(state)
    }
  }

  private func removeIfDone(_ state: State) {
    guard state.isOver, state.waiting == 0, !state.isBad else { return }
    _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
  }

  /// A frame of it is none: the file stays, under a name that nobody takes again.
  func setAside() {
    state.withLock { $0.isBad = true }
    Self.setAside(path)
  }

  private static func setAside(_ path: String) {
    let bad = path.dropLast(ending.count) + endingOfBad
    _ = renameAt2(AT_FDCWD, PathText(path), AT_FDCWD, PathText(String(bad)), flags: 0)
  }
}

extension IntakeFile {
  /// Why a file that an earlier daemon left cannot be used.
  struct Unusable: Error { let cause: String }

  /// A file that an earlier daemon left, and where its frames lie. A last frame that is not whole was never confirmed
  /// and is cut off. nil when a living daemon has the file, or it holds nothing (and is gone now).
  static func open(
    _ path: String, _ decode: ([UInt8]) throws -> any IntakeSource
  ) throws(Unusable) -> (file: IntakeFile, frames: [(offset: Int, length: Int)])? {
    do {
      let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW
      let file = FileDescriptor(
        owning: Int32(try check("open", openAt(AT_FDCWD, PathText(path), flags: flags))))
      guard (try? lock(file.number)) != nil else { return nil }
      var status = stat()
      try check("fstat", statDescriptor(file.number, &status))
      let size = Int(status.st_size)
      if size == 0 {
        _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
        return nil
      }
      guard size >= mark.count + 4, try read(file.number, 0, mark.count) == mark else {
        throw Unusable(cause: "it does not begin as one")
      }
      var next = mark.count
      guard let head = try frame(file.number, at: &next, size) else {
        throw Unusable(cause: "its head is not whole")
      }
      let source = try decode(try read(file.number, head.offset, head.length))
      let start = next
      var frames: [(offset: Int, length: Int)] = []
      while let frame = try frame(file.number, at: &next, size) { frames.append(frame) }
      if next < size { _ = truncateDescriptor(file.number, length: Int64(next)) }
      let result = IntakeFile(path, file, source, start: start, length: next) { _ in }
      result.state.withLock { $0.waiting = frames.count }
      result.finish()
      return (result, frames)
    } catch {
      setAside(path)
      throw Unusable(cause: "\(error)")
    }
  }

  /// The frame at `next`, which moves behind it; nil, and `next` as it was, when it is not whole.
  private static func frame(
    _ file: Int32, at next: inout Int, _ size: Int
  ) throws(SystemCallError) -> (offset: Int, length: Int)? {
    guard next + 4 <= size else { return nil }
    let bytes = try read(file, next, 4)
    let length = bytes.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    guard length > 0, length <= frameLimit, next + 4 + length <= size else { return nil }
    defer { next += 4 + length }
    return (next + 4, length)
  }

  private static func lengthBytes(_ length: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
  }

  private static func lock(_ file: Int32) throws(SystemCallError) {
    // LOCK_EX | LOCK_NB
    try check("flock", rawCall(Int(SYS_flock), Int(file), 2 | 4))
  }

  private static func write(_ bytes: [UInt8], to file: Int32, at start: Int) throws(SystemCallError) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the range lies inside the array, which is not changed meanwhile.
      let wrote = unsafe bytes.withUnsafeBytes { buffer in
        retryingInterrupt {
          rawCall(
            Int(SYS_pwrite64), Int(file), kernelAddress(buffer.baseAddress) + done, buffer.count - done,
            start + done)
        }
      }
      if wrote <= 0 { throw SystemCallError("pwrite", wrote < 0 ? Int32(-wrote) : ENOSPC) }
      done += wrote
    }
  }

  /// `length` bytes; EIO when there are fewer.
  private static func read(_ file: Int32, _ start: Int, _ length: Int) throws(SystemCallError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: length)
    var done = 0
    while done < length {
      // SAFETY: the range lies inside the array.
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        retryingInterrupt {
          rawCall(
            Int(SYS_pread64), Int(file), kernelAddress(buffer.baseAddress) + done, length - done, start + done
          )
        }
      }
      if got <= 0 { throw SystemCallError("pread", got < 0 ? Int32(-got) : EIO) }
      done += got
    }
    return bytes
  }

  /// What a daemon left that ended while it made a file: nothing was in it.
  static func removeUnfinished(_ path: String) {
    let opened = openAt(AT_FDCWD, PathText(path), flags: O_RDWR | O_CLOEXEC | O_NOFOLLOW)
    guard opened >= 0 else { return }
    let file = FileDescriptor(owning: Int32(opened))
    guard (try? lock(file.number)) != nil else { return }
    _ = unlinkAt(AT_FDCWD, PathText(path), flags: 0)
  }
}
