// What mounts say (`MountTable`). Of an object with several names the first rule that matches one of them decides, as if
// its patterns were written for every name; and nothing is permitted on a mount that is closed.

extension RulesDecider {
  /// Calls `body` with `path`, and with each of its other names.
  mutating func forEachName(
    of path: borrowing Span<UInt8>, _ body: (inout RulesDecider, borrowing Span<UInt8>) -> Void
  ) {
    body(&self, path)
    if mounts == nil { return }
    var others = MountTable.Names()
    swap(&others, &names)  // theirs to write to while `self` decides
    if mounts?.begin(&others, with: path) ?? false {
      while mounts?.advance(&others) ?? false { body(&self, others.name.span) }
    }
    swap(&others, &names)
  }

  /// The first of the rules that `decide` finds for the names of `path`.
  mutating func decideNames(
    _ list: RuleList, _ path: borrowing Span<UInt8>,
    _ decide: (inout RulesDecider, borrowing Span<UInt8>) -> Decision
  ) -> Decision {
    if mounts?.closes(path) ?? false { return Decision(.deny, list, default: .floor) }
    var result: Decision?
    forEachName(of: path) { decider, name in
      let decision = decide(&decider, name)
      result = result?.earlier(decision) ?? decision
    }
    return result ?? Decision(.deny, list, default: .unresolved)
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
