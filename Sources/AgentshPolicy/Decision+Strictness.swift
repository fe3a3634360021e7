extension Verdict {
  /// The stricter verdict has the higher number: deny, approve, absorb, soft_delete, redirect, audit, allow.
  package var strictness: UInt8 {
    switch self {
    case .allow: 0
    case .audit: 1
    case .redirect: 2
    case .softDelete: 3
    case .absorb: 4
    case .approve: 5
    case .deny: 6
    }
  }
}

extension Decision {
  /// The stricter of two; `self` where they are equally strict.
  package func stricter(_ other: Decision) -> Decision {
    other.verdict.strictness > verdict.strictness ? other : self
  }

  /// The stricter of this one and what a narrowing policy decides; this one where they are equally strict.
  func narrowed(by other: Decision) -> Decision { stricter(other.by(.narrowing)) }
}
