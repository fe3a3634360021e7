import CLinux
import LinuxSystem
import Synchronization

/// Which of System V's objects the tree has made: numbers by kind. Numbers come round after 2^31 new objects.
final class ObjectTable: Sendable {
  enum Kind: UInt64 { case memory, semaphores, queue }
  /// More than the kernel's own limits for queues and semaphores (32,000 each).
  static let limit = 65_536
  private let made = Mutex<Set<UInt64>>([])

  private static func key(_ kind: Kind, _ number: Int32) -> UInt64 {
    kind.rawValue << 32 | UInt64(UInt32(bitPattern: number))
  }

  func contains(_ kind: Kind, _ number: Int32) -> Bool {
    made.withLock { $0.contains(Self.key(kind, number)) }
  }

  /// Whether one more can be kept; what is not there any more makes room.
  func hasRoom() -> Bool {
    made.withLock { made in
      if made.count < Self.limit { return true }
      made = made.filter { key in
        guard let kind = Kind(rawValue: key >> 32) else { return false }
        var state = noState
        let result = kind.state(Int32(truncatingIfNeeded: key), into: &state)
        return result != -Int(EINVAL) && result != -Int(EIDRM)
      }
      return made.count < Self.limit
    }
  }

  func insert(_ kind: Kind, _ number: Int32) { made.withLock { _ = $0.insert(Self.key(kind, number)) } }
}

/// `struct shmid_ds`, `semid_ds` or `msqid_ds`: all begin with the owner. `svipc(7)`
typealias ObjectState = InlineArray<32, UInt32>
let noState = ObjectState(repeating: 0)

extension ObjectTable.Kind {
  init?(call: Int) {
    switch call {
    case Int(SYS_shmget), Int(SYS_shmat), Int(SYS_shmctl): self = .memory
    case Int(SYS_semget), Int(SYS_semop), Int(SYS_semtimedop), Int(SYS_semctl): self = .semaphores
    case Int(SYS_msgget), Int(SYS_msgsnd), Int(SYS_msgrcv), Int(SYS_msgctl): self = .queue
    default: return nil
    }
  }

  var word: String {
    switch self {
    case .memory: "shm"
    case .semaphores: "sem"
    case .queue: "msg"
    }
  }

  /// shmget, semget or msgget. `size`: bytes, semaphores, or nothing. Returns the number, or -errno.
  func get(key: Int32, size: UInt64, flags: Int32) -> Int {
    switch self {
    case .memory: rawCall(Int(SYS_shmget), Int(key), Int(bitPattern: UInt(size)), Int(flags))
    case .semaphores: rawCall(Int(SYS_semget), Int(key), Int(Int32(truncatingIfNeeded: size)), Int(flags))
    case .queue: rawCall(Int(SYS_msgget), Int(key), Int(flags))
    }
  }

  /// IPC_STAT. Returns 0; -EINVAL or -EIDRM where there is no such object, -EACCES where we may not look at it.
  func state(_ number: Int32, into state: inout ObjectState) -> Int { control(number, 2, &state) }

  /// IPC_SET of owner and mode.
  func set(_ number: Int32, _ state: inout ObjectState) -> Int { control(number, 1, &state) }

  /// IPC_RMID.
  func remove(_ number: Int32) {
    var state = noState
    _ = control(number, 0, &state)
  }

  private func control(_ number: Int32, _ command: Int, _ state: inout ObjectState) -> Int {
    // SAFETY: the largest of the three structures has 120 bytes; `state` has 128 and lives across the call.
    unsafe withUnsafeMutablePointer(to: &state) {
      switch self {
      case .memory: rawCall(Int(SYS_shmctl), Int(number), command, kernelAddress($0))
      case .semaphores: rawCall(Int(SYS_semctl), Int(number), 0, command, kernelAddress($0))
      case .queue: rawCall(Int(SYS_msgctl), Int(number), command, kernelAddress($0))
      }
    }
  }
}
