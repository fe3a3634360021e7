package import AgentshPolicy

/// What `policy test` and `policy explain` ask: an operation and what it is done to.
package struct PolicyQuestion: Sendable, Equatable {
  package let operation: Operation
  /// As it is decided: canonical for paths, `address:port` for the network.
  package let subject: String
  /// exec: argv without argv[0].
  package let arguments: [String]

  package enum Operation: Sendable, Equatable {
    case file(FileOperation)
    case socket(SocketOperation)
    case connect
    case exec
    case signal
  }

  /// The words of `--op`.
  package static let operations: [(word: String, operation: Operation)] =
    FileOperation.allCases.map { ("file_\($0.word)", .file($0)) }
    + [
      ("net_connect", .connect), ("exec", .exec), ("unix_connect", .socket(.connect)),
      ("unix_bind", .socket(.bind)),
      ("unix_sendto", .socket(.sendto)), ("unix_listen", .socket(.listen)), ("signal", .signal),
    ]

  /// Reads a question. Paths are cleaned of `.`, `..` and `//`, `/workspace` and the system's links are replaced as in
  /// patterns; links in the file system are not looked at.
  /// - Parameters:
  ///   - op: one of `operations`.
  ///   - path: absolute path, `@name`, command, `host:port`, or `SIGNAL TARGET` (`SIGTERM children`).
  /// - Throws: `PolicyQuestionError`.
  package init(
    op: String, path: String, arguments: [String] = [], context: PolicyContext
  ) throws(PolicyQuestionError) {
    guard let known = Self.operations.first(where: { $0.word == op }) else { throw .unknownOperation(op) }
    operation = known.operation
    self.arguments = arguments
    guard arguments.isEmpty || known.operation == .exec else { throw .surplusArguments(op) }
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw .badSubject(op, path, "it is empty or holds a zero byte")
    }
    switch known.operation {
    case .file: subject = try Self.canonical(path, op, context)
    case .socket: subject = path.hasPrefix("@") ? path : try Self.canonical(path, op, context)
    case .exec:
      guard path.contains("/") else {
        subject = "/usr/bin/" + path
        return
      }
      subject = try Self.canonical(path, op, context)
    case .connect, .signal: subject = path
    }
  }

  private static func canonical(
    _ path: String, _ op: String, _ context: PolicyContext
  ) throws(PolicyQuestionError) -> String {
    guard path.begins(with: "/") else { throw .badSubject(op, path, "the path must be absolute") }
    var names: [String] = []
    for name in path.pathNames where name != "." {
      if name == ".." { _ = names.popLast() } else { names.append(name) }
    }
    var clean = "/" + names.joined(separator: "/")
    if !context.realPaths, clean.isWithin("/workspace") {
      clean = context.workspace + clean.behind("/workspace")
    }
    for (link, target) in context.systemLinks where clean.isWithin(link) {
      return target + clean.behind(link)
    }
    return clean
  }
}

/// Why a question cannot be answered.
package enum PolicyQuestionError: Error, Equatable, Sendable, CustomStringConvertible {
  case unknownOperation(String)
  case surplusArguments(String)
  case badSubject(String, String, String)
  case policy(PolicyError)

  package var description: String {
    switch self {
    case .unknownOperation(let op):
      "unknown operation \"\(op)\" (one of: \(PolicyQuestion.operations.map(\.word).joined(separator: ", ")))"
    case .surplusArguments(let op): "the operation \(op) takes no arguments"
    case .badSubject(let op, let subject, let cause): "\(op) \"\(subject)\": \(cause)"
    case .policy(let error): "\(error)"
    }
  }
}
