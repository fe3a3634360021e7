extension Duration {
  /// Reads a duration as Go writes it (`5m`, `1h30m`, `250ms`, `1.5h`), with `d` and `w` besides. nil for anything
  /// else: no unit, a sign, an unknown unit, or more than 100 years.
  package init?(parsing text: String) {
    var rest = Substring(text).utf8
    guard !rest.isEmpty, rest.count <= 64 else { return nil }
    if text == "0" {
      self = .zero
      return
    }
    var total = 0.0
    while !rest.isEmpty {
      let digits = rest.prefix { ($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".") }
      guard !digits.isEmpty, let number = Double(Substring(digits)) else { return nil }
      rest = rest[digits.endIndex...]
      let unit = rest.prefix { !(($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".")) }
      guard let scale = durationUnits[String(Substring(unit))] else { return nil }
      rest = rest[unit.endIndex...]
      total += number * scale
    }
    guard total.isFinite, total <= 100 * 365 * 86_400 else { return nil }
    self = .nanoseconds(Int64((total * 1e9).rounded()))
  }

  /// Whole seconds, rounded up: a limit of 250 ms is not one of nothing.
  package var secondsRoundedUp: UInt32 {
    let (seconds, attoseconds) = components
    return UInt32(clamping: seconds + (attoseconds > 0 ? 1 : 0))
  }
}

private let durationUnits: [String: Double] = [
  "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800,
]
