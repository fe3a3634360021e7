package import AgentshPolicy
package import AgentshWire
package import CLinux
import LinuxSystem
import Seccomp

/// Which object something was: device and inode, and for what is to be executed also what tells that it was written to.
package struct ObjectIdentity: Equatable, Sendable {
  private let device: UInt64
  private let inode: UInt64
  private let size: Int64
  /// Nanoseconds of the last write and of the last change of the inode.
  private let written: Int64
  private let changed: Int64

  /// `content`: the object is another one once it has been written to, or changed otherwise. `stat(2)`.
  package init(_ information: stat, content: Bool = false) {
    device = UInt64(information.st_dev)
    inode = UInt64(information.st_ino)
    size = content ? Int64(information.st_size) : 0
    written = content ? Self.nanoseconds(information.st_mtim) : 0
    changed = content ? Self.nanoseconds(information.st_ctim) : 0
  }

  private static func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }
}

/// What a call was about when somebody was asked to approve it. When it is resolved again after the wait, it must be
/// about the same: names in their canonical form, objects, arguments.
package struct ApprovalSubject: Equatable, Sendable {
  package let decision: Decision
  package let kind: ApprovalRequest.Kind
  /// The word that people see; empty for a command.
  package let operation: String
  package let name: [UInt8]
  /// rename and link: the other name; symlink: where it leads.
  package var other: [UInt8] = []
  /// A command's, with argv[0]; then what the interpreters of its `#!` lines put before them.
  package var arguments: [[UInt8]] = []
  package var expected: [[UInt8]] = []
  package var objects: [ObjectIdentity] = []
  /// Flags, modes, types: what else the call says.
  package var details: [UInt64] = []

  package init(_ decision: Decision, _ kind: ApprovalRequest.Kind, operation: String, name: [UInt8]) {
    self.decision = decision
    self.kind = kind
    self.operation = operation
    self.name = name
  }
}

/// With what a held call comes back.
package struct ApprovalReply: Sendable {
  package let subject: ApprovalSubject
  package let outcome: Approval

  /// What the decision becomes when the call is resolved again: approved only where it is the same decision about the
  /// same. What became something that is permitted without being asked is not carried out either: the caller is to call
  /// for that. A deny stays.
  package func settle(_ subject: ApprovalSubject) -> Decision {
    guard subject.decision.asks || subject.decision.permits else { return subject.decision }
    let isAnother = outcome == .approved && subject != self.subject
    return self.subject.decision.answered(isAnother ? .changed : outcome)
  }
}

extension Scratch {
  /// The decision as it stands after what has been answered. Without an answer it is noted what is to be asked.
  mutating func settle(_ subject: ApprovalSubject) -> Decision {
    if let reply { return reply.settle(subject) }
    question = subject
    return subject.decision
  }

  /// Whether nothing is to be settled: a decision that does not ask, on a call that was not held.
  @inline(__always)
  func isSettled(_ decision: Decision) -> Bool { !decision.asks && reply == nil }

  /// Whether the call is to be held for this decision.
  func holds(_ decision: Decision) -> Bool { decision.asks && question != nil }
}

extension Mediator {
  /// A decision on one name, `scratch.name`. `object`: what is there.
  func settle(
    _ decision: Decision, _ operation: FileOperation, _ object: stat? = nil,
    details: @autoclosure () -> [UInt64] = [], other: PathText? = nil, _ scratch: inout Scratch
  ) -> Decision {
    guard !scratch.isSettled(decision) else { return decision }
    var subject = ApprovalSubject(
      decision, .file, operation: operation.word.description, name: Array(scratch.name.bytes))
    if let object { subject.objects = [ObjectIdentity(object)] }
    if let other { subject.other = Array(other.bytes) }
    subject.details = details()
    return scratch.settle(subject)
  }

  /// A decision on `scratch.name` in `parent`, whose last component begins at `leaf`.
  func settle(
    _ decision: Decision, _ operation: FileOperation, at parent: Int32, _ leaf: Int, other: PathText? = nil,
    _ scratch: inout Scratch
  ) -> Decision {
    guard !scratch.isSettled(decision) else { return decision }
    let object = Self.object(parent, scratch.name, leaf)
    return settle(decision, operation, object, other: other, &scratch)
  }

  /// A decision on `scratch.name` and `scratch.nameOther` that is not settled.
  func settlePair(
    _ decision: Decision, _ operation: FileOperation, _ objects: [stat?], details: [UInt64],
    _ scratch: inout Scratch
  ) -> Decision {
    var subject = ApprovalSubject(
      decision, .file, operation: operation.word.description, name: Array(scratch.name.bytes))
    subject.other = Array(scratch.nameOther.bytes)
    subject.objects = objects.compactMap { $0.map { ObjectIdentity($0) } }
    subject.details = details + objects.map { $0 == nil ? 0 : 1 }
    return scratch.settle(subject)
  }

  /// A decision on the destination or the place `scratch.name` of a socket.
  func settle(
    _ decision: Decision, _ operation: SocketOperation, _ socket: borrowing CallerSocket,
    object: stat? = nil, _ scratch: inout Scratch
  ) -> Decision {
    guard !scratch.isSettled(decision) else { return decision }
    var subject = ApprovalSubject(
      decision, socket.isUnix ? .unixSocket : .network, operation: "\(operation)",
      name: Array(scratch.name.bytes))
    if let object { subject.objects = [ObjectIdentity(object)] }
    subject.details = [socket.domain, socket.type, socket.proto].map { UInt64(UInt32(bitPattern: $0)) }
    return scratch.settle(subject)
  }

  /// A decision on a command, and all files that it would start: each counts as another one once it is written to.
  func settle(_ exec: borrowing PreparedExec, _ scratch: inout Scratch) -> Decision {
    guard !scratch.isSettled(exec.decision) else { return exec.decision }
    var information = stat()
    guard statDescriptor(exec.object.number, &information) == 0 else {
      return Decision(.deny, .command, default: .unresolved)
    }
    var subject = ApprovalSubject(
      exec.decision, .command, operation: "", name: Array(exec.canonical.utf8))
    subject.other = Array(exec.raw.utf8)
    subject.arguments = exec.arguments.list()
    subject.expected = exec.expected.list()
    subject.objects = [ObjectIdentity(information, content: true)] + exec.started
    subject.details = [UInt64(exec.depth)]
    return scratch.settle(subject)
  }

  /// What is there under a name in a directory of ours; nil for nothing.
  static func object(_ parent: Int32, _ name: PathText, _ leaf: Int) -> stat? {
    var text = PathText()
    text.append(name, from: leaf)
    if text.count > 1, text[text.count - 1] == UInt8(ascii: "/") { text.truncate(to: text.count - 1) }
    var information = stat()
    return statAt(parent, text, &information, flags: AT_SYMLINK_NOFOLLOW) == 0 ? information : nil
  }
}
