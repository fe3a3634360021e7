package import AgentshPolicy

/// The policy, and the one that narrows it where there is one. Two that do not go together are an error.
extension SessionRules: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(main)
    writer.value(narrowing)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let main = try reader.value(PolicyRules.self)
    let at = reader.offset
    guard let narrowing = try reader.value(PolicyRules?.self) else {
      self.init(main)
      return
    }
    do throws(CombinationError) {
      try self.init(main, narrowedBy: narrowing)
    } catch {
      throw .badValue(offset: at, what: "combination of policies")
    }
  }
}
