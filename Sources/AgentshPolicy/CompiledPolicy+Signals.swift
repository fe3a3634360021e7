extension CompiledPolicy {
  /// Whether signals are decided at all: without rules the kernel keeps them inside the tree.
  package var hasSignalRules: Bool { rules.hasSignalRules }

  /// The signal that a redirecting rule sends instead.
  package func redirectedSignal(_ decision: Decision) -> Int32? {
    let index = Int(decision.rule)
    guard decision.list == .signal, let rules = rules[decision.source]?.signalRules,
      rules.indices.contains(index)
    else { return nil }
    return rules[index].redirectTo
  }

  /// Decides whether a signal (1–64) may be sent. Sending 0 sends nothing and asks only whether the receiver is there:
  /// it is decided as the mildest signal would be, by the first rule for the receiver.
  ///
  /// What one policy sends instead must be what the other permits, or sends instead, too: else nothing is sent.
  package func decideSignal(_ signal: Int32, to receiver: SignalReceiver) -> Decision {
    guard let narrowing else { return main.signals.decide(signal, to: receiver) }
    let own = scoped(main.signals, signal, receiver)
    let other = scoped(narrowing.signals, signal, receiver)
    let decision = own.narrowed(by: other)
    guard decision.verdict == .redirect else { return decision }
    guard let instead = redirectedSignal(decision) else { return decision.denied }
    if own.verdict == .redirect, other.verdict == .redirect {
      let same = redirectedSignal(other.by(.narrowing)) == instead
      return same ? decision : other.by(.narrowing).denied
    }
    let isOwn = decision.source == .main
    let onInstead = scoped(isOwn ? narrowing.signals : main.signals, instead, receiver)
    if onInstead.permits { return decision }
    return onInstead.by(isOwn ? .narrowing : .main).denied
  }

  /// A policy without rules about signals, beside one with some: it leaves them free inside the tree, and only there.
  private func scoped(_ list: SignalList, _ signal: Int32, _ receiver: SignalReceiver) -> Decision {
    guard list.rules.isEmpty, hasSignalRules else { return list.decide(signal, to: receiver) }
    return receiver.relations.contains(SignalTargetSet(.session))
      ? Decision(.allow, .signal, default: .mechanism) : Decision(.deny, .signal, default: .denySignals)
  }
}
