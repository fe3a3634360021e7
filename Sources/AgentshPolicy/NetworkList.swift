/// What a domain in a rule says about addresses.
package enum DomainPattern: Sendable, Equatable {
  /// `*` or `**`: every host, also one without a name.
  case every
  /// An address as text, also in brackets.
  case address(IPAddress)
  /// `localhost`: 127.0.0.0/8 and ::1.
  case loopback
  /// A name or a glob of names: a connection to an address cannot match it until look-ups are known.
  case name(String)

  package init(_ text: String) {
    var lowered = text.lowercased()
    if lowered.hasSuffix("."), lowered != "." { lowered.removeLast() }
    let isBracketed = lowered.hasPrefix("[") && lowered.hasSuffix("]")
    if lowered == "*" || lowered == "**" {
      self = .every
    } else if lowered == "localhost" {
      self = .loopback
    } else if let address = IPAddress(parsing: isBracketed ? lowered.dropFirst().dropLast() : lowered[...]) {
      self = .address(address)
    } else {
      self = .name(lowered)
    }
  }

  /// Whether a connection to `address`, of which nothing else is known, is to this domain.
  func matches(_ address: IPAddress) -> Bool {
    switch self {
    case .every: true
    case .address(let own): own.asDestination == address
    case .loopback: address.isLoopback
    case .name: false
    }
  }
}

/// The network rules, compiled.
struct NetworkList: Sendable {
  struct Rule: Sendable {
    let domains: [DomainPattern]
    let ports: [UInt16]
    let ranges: [AddressRange]
    let verdict: Verdict

    /// Each kind that is given must match; inside a kind any may.
    func matches(_ address: IPAddress, _ port: UInt16) -> Bool {
      (domains.isEmpty || domains.contains { $0.matches(address) }) && (ports.isEmpty || ports.contains(port))
        && (ranges.isEmpty || ranges.contains { $0.contains(address) })
    }

    /// No address matches: only names are given.
    var isOutOfReach: Bool {
      !domains.isEmpty
        && domains.allSatisfy {
          if case .name = $0 { true } else { false }
        }
    }

    var matchesEverything: Bool {
      let everyAddress =
        ranges.isEmpty
        || (ranges.contains(AddressRange(base: .v4(0), bits: 0))
          && ranges.contains(AddressRange(base: .v6(high: 0, low: 0), bits: 0)))
      return (domains.isEmpty || domains.contains(.every)) && ports.isEmpty && everyAddress
    }
  }

  let rules: [Rule]

  init(_ rules: [NetworkRule]) {
    self.rules = rules.map {
      Rule(
        domains: $0.domains.map(DomainPattern.init), ports: $0.ports, ranges: $0.ranges, verdict: $0.decision)
    }
  }
}

extension NetworkList {
  /// The first rule's decision, or the default's.
  func decide(address: IPAddress, port: UInt16) -> Decision {
    let destination = address.asDestination
    for (index, rule) in rules.enumerated() where rule.matches(destination, port) {
      return Decision(verdict: rule.verdict, list: .network, rule: Int32(truncatingIfNeeded: index))
    }
    return Decision(.deny, .network, default: .denyNetwork)
  }

  /// The answer for every address and port, where there is only one.
  var uniformDecision: Decision? {
    for (index, rule) in rules.enumerated() where !rule.isOutOfReach {
      if !rule.matchesEverything { return nil }
      return Decision(verdict: rule.verdict, list: .network, rule: Int32(truncatingIfNeeded: index))
    }
    return Decision(.deny, .network, default: .denyNetwork)
  }
}
