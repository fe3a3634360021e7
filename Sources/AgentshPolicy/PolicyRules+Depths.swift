extension PolicyRules {
  /// Whether a command rule tells depths inside the tree apart. `[direct]` (up to 0) and `[nested]` (from 1) do not: who is
  /// inside stays inside, whoever its parents are.
  package var tellsDepths: Bool {
    commandRules.contains { ($0.minDepth ?? 0) > 1 || ($0.maxDepth ?? 0) > 0 }
  }
}
