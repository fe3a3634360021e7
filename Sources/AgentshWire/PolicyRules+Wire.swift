package import AgentshPolicy

/// The policy on the wire: the fields of each structure in the order of their declaration.
extension PolicyRules: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(Int64(version))
    writer.value(name)
    writer.value(description)
    writer.value(fileRules)
    writer.value(commandRules)
    writer.value(networkRules)
    writer.value(unixSocketRules)
    writer.value(signalRules)
    writer.value(denyReadsByDefault)
    writer.value(permissions.rawValue)
    writer.value(environment)
    writer.value(audit)
    writer.value(transparentAdd)
    writer.value(transparentRemove)
    writer.value(floor)
    writer.value(trash)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init()
    let at = reader.offset
    guard let version = Int(exactly: try reader.value(Int64.self)), version >= 1 else {
      throw .badValue(offset: at, what: "policy version")
    }
    self.version = version
    name = try reader.value()
    description = try reader.value()
    fileRules = try reader.value()
    commandRules = try reader.value()
    networkRules = try reader.value()
    unixSocketRules = try reader.value()
    signalRules = try reader.value()
    denyReadsByDefault = try reader.value()
    let words = reader.offset
    permissions = Permissions(rawValue: try reader.value())
    guard permissions.isSubset(of: .all) else { throw .badValue(offset: words, what: "permissions") }
    environment = try reader.value()
    audit = try reader.value()
    transparentAdd = try reader.value()
    transparentRemove = try reader.value()
    floor = try reader.value()
    trash = try reader.value()
  }
}

extension FileRule: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(name)
    writer.value(description)
    writer.value(paths)
    writer.value(operations)
    writer.value(decision)
    writer.value(message)
    writer.value(timeoutSeconds)
    writer.value(redirectTo)
    writer.value(preserveTree)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let name = try reader.value(String.self)
    let description = try reader.value(String.self)
    let paths = try reader.value([String].self)
    let operations = try reader.value(FileOperations.self)
    self.init(name: name, paths: paths, operations: operations, decision: try reader.value())
    self.description = description
    message = try reader.value()
    timeoutSeconds = try reader.value()
    redirectTo = try reader.value()
    preserveTree = try reader.value()
  }
}

extension CommandRule: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(name)
    writer.value(description)
    writer.value(commands)
    writer.value(argumentPatterns)
    writer.value(decision)
    writer.value(message)
    writer.value(timeoutSeconds)
    writer.value(minDepth)
    writer.value(maxDepth)
    writer.value(redirect)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let name = try reader.value(String.self)
    let description = try reader.value(String.self)
    let commands = try reader.value([String].self)
    let patterns = try reader.value([String].self)
    self.init(name: name, commands: commands, decision: try reader.value())
    self.description = description
    argumentPatterns = patterns
    message = try reader.value()
    timeoutSeconds = try reader.value()
    minDepth = try reader.value()
    maxDepth = try reader.value()
    redirect = try reader.value()
  }
}

extension CommandRedirect: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(command)
    writer.value(arguments)
    writer.value(argumentsAppend)
    writer.value(environment)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init(command: try reader.value())
    arguments = try reader.value()
    argumentsAppend = try reader.value()
    environment = try reader.value()
  }
}

extension NetworkRule: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(name)
    writer.value(description)
    writer.value(domains)
    writer.value(ports)
    writer.value(ranges)
    writer.value(decision)
    writer.value(message)
    writer.value(timeoutSeconds)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let name = try reader.value(String.self)
    let description = try reader.value(String.self)
    let domains = try reader.value([String].self)
    let ports = try reader.value([UInt16].self)
    let ranges = try reader.value([AddressRange].self)
    self.init(name: name, decision: try reader.value())
    self.description = description
    self.domains = domains
    self.ports = ports
    self.ranges = ranges
    message = try reader.value()
    timeoutSeconds = try reader.value()
  }
}

extension UnixSocketRule: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(name)
    writer.value(description)
    writer.value(paths)
    writer.value(operations)
    writer.value(decision)
    writer.value(message)
    writer.value(timeoutSeconds)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let name = try reader.value(String.self)
    let description = try reader.value(String.self)
    let paths = try reader.value([String].self)
    let operations = try reader.value(SocketOperations.self)
    self.init(name: name, paths: paths, decision: try reader.value())
    self.description = description
    self.operations = operations
    message = try reader.value()
    timeoutSeconds = try reader.value()
  }
}

extension SignalRule: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(name)
    writer.value(description)
    writer.value(signals)
    writer.value(target)
    writer.value(targetPattern)
    writer.value(targetMin)
    writer.value(targetMax)
    writer.value(decision)
    writer.value(fallback)
    writer.value(redirectTo)
    writer.value(message)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    let name = try reader.value(String.self)
    let description = try reader.value(String.self)
    let signals = try reader.value(UInt64.self)
    let target = try reader.value(SignalTarget.self)
    let pattern = try reader.value(String?.self)
    let lowest = try reader.value(Int32?.self)
    let highest = try reader.value(Int32?.self)
    self.init(name: name, signals: signals, target: target, decision: try reader.value())
    self.description = description
    targetPattern = pattern
    targetMin = lowest
    targetMax = highest
    fallback = try reader.value()
    redirectTo = try reader.value()
    message = try reader.value()
  }
}

extension EnvironmentRules: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(allow)
    writer.value(deny)
    writer.value(maxBytes)
    writer.value(maxKeys)
    writer.value(inject)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init()
    allow = try reader.value()
    deny = try reader.value()
    maxBytes = try reader.value()
    maxKeys = try reader.value()
    inject = try reader.value()
  }
}

extension AuditSettings: WireCodable {
  package func encode(to writer: inout WireWriter) { writer.value(logAllowed) }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init()
    logAllowed = try reader.value()
  }
}
