package import AgentshWire

// `POST /api/v1/launches`: what our own client asks at each start, in one exchange and without JSON, whose coder takes
// longer in a fresh process than all else that the client does. The same requests as `POST /sessions` and wrap-init,
// checked by the same code; other clients use those two.

/// A session, new or there already, and the start of a program in it.
package struct StartRequest: Sendable, Equatable, WireCodable {
  /// Content type of request and answer.
  package static let mediaType = "application/vnd.agentsh.launch"
  /// The first byte of both; another one is refused.
  static let version: UInt8 = 1

  /// nil: `create` is made.
  package var session: String?
  package var create: CreateSessionRequest
  package var wrapInit: WrapInitRequest

  package init(session: String?, create: CreateSessionRequest, wrapInit: WrapInitRequest) {
    self.session = session
    self.create = create
    self.wrapInit = wrapInit
  }

  package func encode(to writer: inout WireWriter) {
    writer.byte(Self.version)
    writer.value(session)
    writer.value(create)
    writer.value(wrapInit)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    try readVersion(&reader)
    session = try reader.value()
    create = try reader.value()
    wrapInit = try reader.value()
  }
}

/// The session's id, and what wrap-init answers.
package struct StartResponse: Sendable, Equatable, WireCodable {
  package var session: String
  package var wrapInit: WrapInitResponse

  package init(session: String, wrapInit: WrapInitResponse) {
    self.session = session
    self.wrapInit = wrapInit
  }

  package func encode(to writer: inout WireWriter) {
    writer.byte(StartRequest.version)
    writer.value(session)
    writer.value(wrapInit)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    try readVersion(&reader)
    session = try reader.value()
    wrapInit = try reader.value()
  }
}

private func readVersion(_ reader: inout WireReader) throws(WireError) {
  guard try reader.byte() == StartRequest.version else { throw .badValue(offset: 0, what: "version") }
}

extension CreateSessionRequest: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(workspace)
    for text in [id, policy, profile, home, projectRoot, policyText, policyFile, policyLink] {
      writer.value(text)
    }
    for flag in [detectProjectRoot, realPaths, allowUnenforced] { writer.value(flag) }
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init(workspace: try reader.value())
    id = try reader.value()
    policy = try reader.value()
    profile = try reader.value()
    home = try reader.value()
    projectRoot = try reader.value()
    policyText = try reader.value()
    policyFile = try reader.value()
    policyLink = try reader.value()
    detectProjectRoot = try reader.value()
    realPaths = try reader.value()
    allowUnenforced = try reader.value()
  }
}

extension WrapInitRequest: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(agentCommand)
    writer.value(agentArgs)
    writer.value(callerUID)
    writer.value(mode)
    writer.value(supervise)
    writer.value(allowDegraded)
    writer.value(listener)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init(agentCommand: try reader.value(), agentArgs: try reader.value())
    callerUID = try reader.value()
    mode = try reader.value()
    supervise = try reader.value()
    allowDegraded = try reader.value()
    listener = try reader.value()
  }
}

extension WrapInitResponse: WireCodable {
  package func encode(to writer: inout WireWriter) {
    for flag in [ptraceMode, safeToBypassShellShim, supervise] { writer.value(flag) }
    for text in [
      wrapperBinary, stubBinary, seccompConfig, notifySocket, signalSocket, handoffToken, controlGroup,
    ] {
      writer.value(text)
    }
    writer.pairs(wrapperEnv)
    writer.pairs(envInject)
    writer.value(envPolicy)
    writer.value(degraded)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init()
    ptraceMode = try reader.value()
    safeToBypassShellShim = try reader.value()
    supervise = try reader.value()
    wrapperBinary = try reader.value()
    stubBinary = try reader.value()
    seccompConfig = try reader.value()
    notifySocket = try reader.value()
    signalSocket = try reader.value()
    handoffToken = try reader.value()
    controlGroup = try reader.value()
    wrapperEnv = try reader.pairs()
    envInject = try reader.pairs()
    envPolicy = try reader.value()
    degraded = try reader.value()
  }
}

extension EnvironmentPolicy: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(allow)
    writer.value(deny)
    writer.value(maxBytes)
    writer.value(maxKeys)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    self.init()
    allow = try reader.value()
    deny = try reader.value()
    maxBytes = try reader.value()
    maxKeys = try reader.value()
  }
}

extension WireWriter {
  /// A dictionary as a count and its pairs, by name; nil as a dictionary without any.
  fileprivate mutating func pairs(_ values: [String: String]?) {
    let sorted = (values ?? [:]).sorted { $0.key < $1.key }
    integer(UInt32(sorted.count))
    for (name, text) in sorted {
      value(name)
      value(text)
    }
  }
}

extension WireReader {
  fileprivate mutating func pairs() throws(WireError) -> [String: String] {
    let length = try count(each: 8)
    var result: [String: String] = [:]
    for _ in 0..<length {
      let name: String = try value()
      result[name] = try value(String.self)
    }
    return result
  }
}
