// What mounts say (`MountTable`). Of an object with several names the first rule that matches one of them decides, as if
// its patterns were written for every name; and nothing is permitted on a mount that is closed.

extension RulesDecider {
  /// Calls `body` with each name of `path`. False, and nothing is called, where it lies on a closed mount.
  mutating func forEachName(
    of path: borrowing Span<UInt8>, _ body: (inout RulesDecider, borrowing Span<UInt8>) -> Void
  ) -> Bool {
    var others = MountTable.Names()
    swap(&others, &names)  // theirs to write to while `self` decides
    if !(mounts?.begin(&others, with: path) ?? false) {
      body(&self, path)
    } else if !others.isClosed {
      while mounts?.advance(&others) ?? false { body(&self, others.name.span) }
    }
    let isOpen = mounts == nil || !others.isClosed
    swap(&others, &names)
    return isOpen
  }

  /// The first of the rules that `decide` finds for the names of `path`.
  mutating func decideNames(
    _ list: RuleList, _ path: borrowing Span<UInt8>,
    _ decide: (inout RulesDecider, borrowing Span<UInt8>) -> Decision
  ) -> Decision {
    var result: Decision?
    let isOpen = forEachName(of: path) { decider, name in
      let decision = decide(&decider, name)
      result = result?.earlier(decision) ?? decision
    }
    return isOpen
      ? result ?? Decision(.deny, list, default: .unresolved) : Decision(.deny, list, default: .floor)
  }

  /// `decideAll` where there are names to go through for each operation.
  mutating func decideEach(_ operations: FileOperations, _ path: borrowing Span<UInt8>) -> Decision {
    var result: Decision?
    for operation in FileOperation.allCases where operations.contains(FileOperations(operation)) {
      let one = decide(operation, path: path)
      result = result?.stricter(one) ?? one
    }
    return result ?? Decision(.deny, .file, default: .unresolved)
  }
}

extension Decision {
  /// Of what one list says of two names: by the rule that stands first. The floor stands before all rules, and a default
  /// counts where there is no rule.
  func earlier(_ other: Decision) -> Decision {
    let floor = Default.floor.rawValue
    if rule == floor || other.rule < 0 && other.rule != floor { return self }
    if other.rule == floor || rule < 0 { return other }
    return other.rule < rule ? other : self
  }
}
