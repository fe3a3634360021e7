import AgentshPolicy

/// `host:port`, as far as it is known. What is not known is decided as strictly as the rules allow: an allow that
/// depends on it does not match, anything else does.
struct NetworkDestination {
  let host: String
  let address: IPAddress?
  let port: UInt16?

  init(_ text: String) throws(PolicyQuestionError) {
    let (host, digits) = Self.split(text)
    guard !host.isEmpty else {
      throw .badSubject("net_connect", text, "there is no host (host:port, [::1]:443)")
    }
    if let digits {
      guard let number = UInt16(digits), number > 0 else {
        throw .badSubject("net_connect", text, "the port must be between 1 and 65535")
      }
      port = number
    } else {
      port = nil
    }
    self.host = host.lowercased()
    // What is written localhost is looked up as loopback.
    address = self.host == "localhost" ? .v4(0x7F00_0001) : IPAddress(parsing: host)
  }

  private static func split(_ text: String) -> (host: String, port: Substring?) {
    if text.hasPrefix("["), let end = text.lastIndex(of: "]") {
      let rest = text[text.index(after: end)...]
      return (String(text[text.index(after: text.startIndex)..<end]), rest.isEmpty ? nil : rest.dropFirst())
    }
    guard let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon else { return (text, nil) }
    return (String(text[..<colon]), text[text.index(after: colon)...])
  }

  var remark: String {
    let missing = [address == nil ? "the address of \(host)" : nil, port == nil ? "the port" : nil].compactMap
    { $0 }
    return "\(missing.joined(separator: " and ")) is not known: decided as strictly as the rules allow"
  }

  /// Whether the rule decides about this destination.
  func isMatched(by rule: NetworkRule) -> Bool { mismatch(with: rule) == nil }

  /// Which kind of the rule does not match; nil when all do.
  func mismatch(with rule: NetworkRule) -> String? {
    let unknown = rule.decision != .allow && rule.decision != .audit
    if !rule.domains.isEmpty, !rule.domains.contains(where: { matches($0, unknown: unknown) }) {
      return "no domain matches \(host)"
    }
    if !rule.ports.isEmpty, !(port.map(rule.ports.contains) ?? unknown) {
      return port.map { "port \($0) is not among its ports" } ?? "the port is not known"
    }
    if !rule.ranges.isEmpty {
      guard let address else { return unknown ? nil : "the address of \(host) is not known" }
      // The unspecified address means this host.
      let local = [IPAddress.v4(0): IPAddress.v4(0x7F00_0001), .v6(high: 0, low: 0): .v6(high: 0, low: 1)]
      let destination = local[address] ?? address
      if !rule.ranges.contains(where: { $0.contains(destination) }) {
        return "no address range holds \(address)"
      }
    }
    return nil
  }

  private func matches(_ domain: String, unknown: Bool) -> Bool {
    switch DomainPattern(domain) {
    case .every: true
    case .loopback: address?.isLoopback ?? unknown
    case .address(let own): address.map { $0 == own } ?? unknown
    case .name: address == nil && unknown
    }
  }
}
