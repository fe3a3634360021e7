import LinuxSystem
import Synchronization

/// The frames of one sender, on their way in. Its file is made with the first frame, or when one is expected, and goes
/// when all of it is stored and nothing more comes.
package final class StreamIntake: Sendable {
  private let intake: EventIntake
  private let stream: UInt64
  private let head: @Sendable () -> [UInt8]
  private let source: any IntakeSource
  private let file = Mutex<IntakeFile?>(nil)

  /// `head`: what `source` can be made of again.
  package init(
    _ intake: EventIntake, stream: UInt64, source: any IntakeSource, head: @escaping @Sendable () -> [UInt8]
  ) {
    self.intake = intake
    self.stream = stream
    self.source = source
    self.head = head
  }

  deinit { finish() }

  /// Frames are about to come: makes the file, so that the first is answered sooner. A disk that does not take it is told of by
  /// `append`.
  package func expect() {
    file.withLock { if $0 == nil { $0 = try? make() } }
  }

  /// Takes a frame that was checked; blocks. It survives this process when it returns. Throws when the disk does not
  /// take it, or when too much waits and the store takes nothing: nothing of the frame is taken then.
  package func append(_ frame: [UInt8]) throws(AuditError) {
    try intake.makeRoom()
    try take(frame, isOwn: false)
  }

  /// One of the daemon's own events. A disk that does not take it leaves it in memory. Throws when too many wait, and
  /// when the daemon is ending.
  package func appendOwn(_ frame: [UInt8]) throws(AuditError) {
    try intake.admitOwn()
    do throws(AuditError) { try take(frame, isOwn: true) } catch { intake.hold(frame, source) }
  }

  /// Nothing more comes, as far as is known: another frame would be the first of another file.
  package func finish() {
    file.withLock { file in
      file?.finish()
      file = nil
    }
  }

  private func take(_ frame: [UInt8], isOwn: Bool) throws(AuditError) {
    do throws(SystemCallError) {
      try file.withLock { file throws(SystemCallError) in
        if let full = file, full.isFull {
          full.finish()
          file = nil
        }
        let open = if let file { file } else { try make() }
        file = open
        let offset = try open.append(frame)
        intake.take(open, offset: offset, length: frame.count, isOwn: isOwn)
      }
    } catch { throw .append(cause: "\(intake.settings.directory): \(error)") }
  }

  private func make() throws(SystemCallError) -> IntakeFile {
    var generator = SystemRandomNumberGenerator()
    let name = "\(hex(stream))-\(hex(generator.next()))"
    return try IntakeFile.make(
      intake.settings.directory, name, head: head(), source, intake.settings.onStep)
  }

  private func hex(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
