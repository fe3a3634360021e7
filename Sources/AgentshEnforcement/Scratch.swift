package import AgentshPolicy
package import LinuxSystem

/// What one thread works with while it handles a call: buffers that are reused, and its own view of the policy
/// (whose automaton learns). Lives on that thread's stack; nothing in it is shared.
package struct Scratch: ~Copyable {
  /// As the caller wrote it.
  package var raw = PathText()
  package var rawOther = PathText()
  /// The canonical absolute name of what the call is about.
  package var name = PathText()
  package var nameOther = PathText()
  /// Link targets, /proc texts and other short-lived bytes.
  package var text = PathText()
  package var spare = PathText()
  package var decider: FileDecider
  /// The change of mounts (`Mounts`) that the decider knows of.
  var mountsKnown: UInt64 = 0
  /// False on the receiver, which must not wait for anybody; true on a helper.
  package let mayBlock: Bool
  /// Whose identity the thread acts with at the moment; nil: the owner's.
  package var identity: Identity?
  /// The umask that the thread has at the moment.
  package var mask: UInt32 = 0o022
  /// The answer that the call at hand was held for.
  package var reply: ApprovalReply?
  /// What the call at hand would have to be approved for.
  package var question: ApprovalSubject?

  package init(policy: CompiledPolicy, mayBlock: Bool) {
    var limits = PathCacheLimits()
    if mayBlock {
      // There may be many helpers, and each meets few paths.
      limits.states = 1024
      limits.cells = 1 << 17
      limits.members = 1 << 16
    }
    decider = FileDecider(policy, limits: limits)
    self.mayBlock = mayBlock
  }
}

/// A name that is too long for a path is cut off, and its end is what a rule may be about: nothing is permitted on it. The
/// resolver does not come here with one.
extension FileDecider {
  private static let tooLong = Decision(.deny, .file, default: .unresolved)

  mutating func decide(_ operation: FileOperation, _ name: PathText) -> Decision {
    name.isTooLong ? Self.tooLong : decide(operation, path: name.span)
  }

  mutating func decideAll(_ operations: FileOperations, _ name: PathText) -> Decision {
    name.isTooLong ? Self.tooLong : decideAll(operations, path: name.span)
  }

  mutating func decideCut(_ name: PathText) -> Decision? {
    name.isTooLong ? Self.tooLong : decideCut(path: name.span)
  }

  mutating func decide(_ operation: FileOperation, _ name: PathText, by source: PolicySource) -> Decision? {
    name.isTooLong ? Self.tooLong : decide(operation, path: name.span, by: source)
  }

  mutating func loosened(from old: PathText, to new: PathText) -> PolicySource? {
    loosened(from: old.span, to: new.span)
  }

  mutating func keepsRules(from old: PathText, to new: PathText) -> Bool {
    !old.isTooLong && !new.isTooLong && keepsRules(from: old.span, to: new.span)
  }
}
